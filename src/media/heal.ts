/**
 * Healing: poison goes from the media, and then from the caches in front of it.
 *
 * @module
 */
import type { Media } from "./media.ts";

/**
 * Clears poison and invalidates the cache lines of what is good now: until then a load finds the
 * poison in its cache, though the media is healed. Returns how many bytes of the range are good.
 */
export function healMedia(media: Media, offset: number, length: number): number {
  const good = media.clearPoison(offset, length);
  if (good > 0) media.invalidate?.(offset, length);
  return good;
}
