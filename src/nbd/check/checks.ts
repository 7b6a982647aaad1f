/**
 * All checks, in the order in which a connection meets what they are about.
 *
 * @module
 */
import type { NbdCheck } from "./check.ts";
import { handshakeChecks } from "./handshake-checks.ts";
import { infoChecks } from "./info-checks.ts";
import { metaChecks } from "./meta-checks.ts";
import { optionChecks } from "./option-checks.ts";
import { readChecks } from "./read-checks.ts";
import { disconnectChecks, extendedChecks, statusChecks } from "./status-checks.ts";
import { writeChecks } from "./write-checks.ts";

/** See the module. Names are unique. */
export const NBD_CHECKS: readonly NbdCheck[] = [
  ...handshakeChecks,
  ...optionChecks,
  ...infoChecks,
  ...metaChecks,
  ...readChecks,
  ...statusChecks,
  ...extendedChecks,
  ...writeChecks,
  ...disconnectChecks,
];
