// The file is one version or the other, whole, whatever was promised.
export default ({ fs, mount }) => {
  const { version } = JSON.parse(fs.readFileSync(`${mount}/settings.json`, "utf8"));
  return version === 1 || version === 2 || `version ${version} is there`;
};
