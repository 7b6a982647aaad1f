/**
 * `daxkit tour`.
 *
 * @module
 */
import { STATUS_OK, command } from "../command.ts";

export const tour = command({
  name: "tour",
  summary: "show in a few seconds what daxkit does, on real input",
  description: [
    "Boots the machine of examples/machine.yaml, stores on each of its devices, reads an ext4 " +
      "image that mke2fs made through DAX, and proves three small programs, two of which lose " +
      "what they promised. Every figure is counted or measured on the way. No file is written.",
  ],
  json: "lines",
  operands: [],
  options: {},
  examples: [{ line: "daxkit tour", text: "is what npm start runs" }],
  async run({ json, out, terminal }) {
    const { boot, storeEverywhere, readImage, proveExamples } = await import("../tour-steps.ts");
    const { TourGuide } = await import("../tour.ts");
    const { toJson } = await import("../../crash/prove.ts");
    const guide = new TourGuide(out, terminal);
    const booted = boot();
    const { machine, ...boots } = booted;
    try {
      const stores = storeEverywhere(machine);
      if (json) out.json({ step: "boot", ...boots });
      else guide.boot(booted);
      if (json) out.json({ step: "store", stores });
      else guide.stores(stores);
      const image = readImage(machine, "pmem1");
      if (json) out.json({ step: "image", ...image });
      else guide.image(image);
      if (!json) guide.proofs();
      for await (const proof of proveExamples()) {
        if (json) out.json({ step: "proof", ...proof, verdict: toJson(proof.verdict) });
        else guide.proof(proof);
      }
    } finally {
      machine.shutdown();
    }
    return STATUS_OK;
  },
});
