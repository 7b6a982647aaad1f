/** tinyglobby's types mention picomatch, which has none. */
declare module "picomatch";
