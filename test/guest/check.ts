/** `daxkit check` on images that a guest wrote. */
import { daxkit } from "../support/daxkit.ts";

/** What it says, but for a clock: without KVM a busy machine's guest is ahead of us. */
export function complaintsOf(image: string): string[] {
  const { status, stdout, stderr } = daxkit(["check", image]);
  const errors = stdout.match(/^error .*$/gmu) ?? [];
  const told = errors.filter((line) => !/^error ext\.super\.time: .* in the future/u.test(line));
  const ended =
    status === (errors.length === 0 ? 0 : 1) ? [] : [`exit status ${status}: ${stdout}`];
  return [...told, ...ended, ...(stderr === "" ? [] : [stderr])];
}
