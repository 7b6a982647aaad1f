/**
 * Sockets that systemd, or libnbd's `nbdinfo [ … ]`, opened for us: sd_listen_fds(3).
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";

const FIRST = 3;
const MOST = 1024;

/** The environment of a process, of which the three variables are taken. */
export type ActivationEnvironment = Record<string, string | undefined>;

/**
 * Descriptors of listening sockets that were handed to this very process; none when nobody did.
 * Takes the variables away, so that no child thinks they are for it.
 * @throws EINVAL for a number of descriptors that cannot be
 */
export function inheritedSockets(
  environment: ActivationEnvironment = process.env,
  pid: number = process.pid,
): number[] {
  const { LISTEN_PID, LISTEN_FDS } = environment;
  if (LISTEN_PID === undefined || LISTEN_FDS === undefined) return [];
  if (LISTEN_PID !== String(pid)) return [];
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete environment[name];
  const count = Number(LISTEN_FDS);
  if (!/^\d+$/u.test(LISTEN_FDS) || count < 1 || count > MOST) {
    throw new DaxError("EINVAL", {
      detail: `LISTEN_FDS is '${LISTEN_FDS.slice(0, 20)}'; it takes 1 to ${MOST}`,
    });
  }
  return Array.from({ length: count }, (_, i) => FIRST + i);
}
