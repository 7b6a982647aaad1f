/**
 * `daxkit dax`: what it says of page descriptors.
 */
import { describe, expect, test } from "vitest";
import { runLine } from "../support/command-line.ts";

describe("daxkit dax plan", () => {
  test("[2.36] [2.59] [X4] shows all placements beside each other, and chooses none", async () => {
    const { status, stdout } = await runLine(["dax", "plan", "--size", "1T"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^map +none +mem +dev$/mu);
    expect(stdout).toMatch(/^cost in memory +0 B +16 GiB +0 B$/mu);
    expect(stdout).toMatch(/^cost on device +0 B +0 B +16 GiB$/mu);
    expect(stdout).toMatch(/^use of a page writes +no media +no media +64 B of media$/mu);
    expect(stdout).toMatch(/^advice: none \(.*wear.*\)$/mu);
  });

  test("[2.26] one of them for programs", async () => {
    const line = ["dax", "plan", "--size", "400T", "--map", "dev", "--json"];
    const { plans } = JSON.parse((await runLine(line)).stdout) as { plans: object[] };
    expect(plans).toMatchObject([{ map: "dev", costOnDevice: 6_871_947_673_472 }]);
  });

  test("what does not fit is told beside what does, and not advised", async () => {
    const line = ["dax", "plan", "--size", "1G", "--align", "1G", "--media", "dram"];
    const { status, stdout } = await runLine(line);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^dev: ENXIO: unable to satisfy requested alignment/mu);
    expect(stdout).toMatch(/^advice: none \(map mem does not fit\)$/mu);
  });

  test.each([
    [["dax", "plan"], /give '--size'/u],
    [["dax", "plans", "--size", "1T"], /no action 'plans'; there are .*plan/u],
    [["dax", "plan", "--size", "1G", "--align", "3M"], /EINVAL.*alignment of 3145728/u],
    [["dax", "plan", "--size", "1G", "--map", "dev", "--caching", "uncached"], /EOPNOTSUPP/u],
    [["dax", "plan", "--size", "0"], /EINVAL.*at least a page/u],
    [["dax", "plan", "--size", "1G", "--writes", "5"], /'--writes' is not for 'plan'/u],
    [["dax", "capabilities", "--size", "1G"], /'--size' is not for .*takes --profile/u],
    [["dax", "capabilities", "--map", "dev"], /'--map' is not for 'capabilities'/u],
    [["dax", "wear", "--size", "1G"], /'--size' is not for 'wear'/u],
    [["dax", "wear", "--profile", "v4.1"], /'--profile' is not for 'wear'/u],
    [["dax", "wear", "--writes", "0"], /give 1 to 1000000/u],
    [["dax", "wear", "--writes", "9999999999"], /give 1 to 1000000/u],
  ])("refuses %j", async (line, words) => {
    const { status, stderr } = await runLine(line);
    expect(status).toBe(2);
    expect(stderr).toMatch(words);
  });
});
