import { ModelledMedia } from "../../src/media/modelled.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { WearMedia } from "../../src/media/wear-media.ts";
import { conformsToMedia } from "./media-cases.ts";

conformsToMedia("RAM", (size) => new RamMedia(size));
conformsToMedia("RAM in segments", (size) => new RamMedia(size, { segmentBytes: 3 * 4096 }));
conformsToMedia("RAM over bytes", (size) => RamMedia.over(new Uint8Array(size)));
conformsToMedia("poison over RAM", (size) => new PoisonMedia(new RamMedia(size)));
conformsToMedia("modelled", (size) => new ModelledMedia(size));
conformsToMedia("modelled, battery-backed", (size) => new ModelledMedia(size, { domain: "eadr" }));
conformsToMedia("counted", (size) => new WearMedia(size));
