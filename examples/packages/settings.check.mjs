// The file is one version or the other, whole, and the new one once that was promised.
export default ({ fs, acked, mount }) => {
  const { version } = JSON.parse(fs.readFileSync(`${mount}/settings.json`, "utf8"));
  return version === 2 || (version === 1 && acked.length === 0) || `version ${version} is there`;
};
