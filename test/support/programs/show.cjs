/* oxlint-disable */
exports.show = (...words) => console.log(words.map((word) => JSON.stringify(word)).join(" "));
exports.failed = (body) => {
  try {
    body();
    return "none";
  } catch (error) {
    return [error.code, error.syscall, error.message, error.errno];
  }
};
