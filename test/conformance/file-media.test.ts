import { PoisonMedia } from "../../src/media/poison.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { openMediaFile } from "../../src/node/media-file.ts";
import { BufferedFileMedia } from "../../src/node/file-backing.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { places, scratch } from "../support/scratch.ts";
import { conformsToMedia } from "./media-cases.ts";

const mappable = libc() !== undefined;

for (const [place, folder] of Object.entries(places)) {
  conformsToMedia(`a file on ${place}`, (create) => openFileMedia(scratch(folder), { create }));
  conformsToMedia(`a buffered file on ${place}`, (create) => {
    const options = { create };
    return new BufferedFileMedia(openMediaFile(scratch(folder), options), options);
  });
  if (mappable) {
    conformsToMedia(`a file on ${place} in segments`, (create) =>
      openFileMedia(scratch(folder), { create, segmentBytes: 65536 }),
    );
    conformsToMedia(`a file on ${place} with cache-line write-back`, (create) =>
      openFileMedia(scratch(folder), { create, flush: "cache-line" }),
    );
    conformsToMedia(`a file on ${place} with msync`, (create) =>
      openFileMedia(scratch(folder), { create, flush: "msync" }),
    );
    conformsToMedia(`a file on ${place} that grew inside a page`, (size) => {
      const media = openFileMedia(scratch(folder), { create: 5000, flush: "cache-line" });
      media.grow(70_001);
      media.grow(size);
      return media;
    });
    conformsToMedia(`poison over a file on ${place}`, (create) => {
      return new PoisonMedia(openFileMedia(scratch(folder), { create, flush: "cache-line" }));
    });
  }
}
