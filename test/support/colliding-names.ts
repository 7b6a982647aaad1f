/**
 * Names whose legacy hashes are the same. So long that a few of them fill leaves.
 */
const ENDS = [
  "aaaaaaaa",
  "73e#YM&W",
  "rM6jWLsK",
  "-5AlGca%",
  "qzskGLV&",
  "-yG2:&-Q",
  "k,d+ISd+",
  ";uV.:FQJ",
  "Bn-UDvMT",
  "3n(#FJ:t",
  "#+doG^j,",
  "HwgAH1yv",
];

/** Each has 248 bytes. */
export const COLLIDING_NAMES = ENDS.map((end) => "x".repeat(240) + end);
