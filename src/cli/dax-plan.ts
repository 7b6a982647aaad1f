/**
 * What `daxkit dax plan` prints: plans beside each other, and the advice.
 *
 * @module
 */
import { formatSize } from "../lib/size.ts";
import type { Caching } from "../media/media.ts";
import {
  type MediaKind,
  type PageMapAdvice,
  type PageMapPlace,
  type PageMapPlan,
  type PageMapRequest,
  advisePageMap,
  planPageMap,
} from "../platform/pfn-layout.ts";
import { isDaxError } from "../lib/errno.ts";
import { UsageError } from "./command.ts";
import type { DaxInvocation } from "./commands/dax.ts";
import { table } from "./text-table.ts";

const MEMORY = 64 * 2 ** 30;
const ALL: readonly PageMapPlace[] = ["none", "mem", "dev"];

/** A plan, or why there is none. */
type Planned = PageMapPlan | { readonly map: PageMapPlace; readonly refused: string };

/** Prints the plan for `--map`, or all of them. @throws UsageError, and as `planPageMap` */
export function showPlans({ values, json, out }: DaxInvocation): void {
  const { size, map, align, base, caching, memory = MEMORY } = values;
  if (size === undefined) throw new UsageError("give '--size', such as '--size 1T'");
  const kind = (values.media ?? "wearing") as MediaKind;
  const request = {
    size,
    ...(align === undefined ? {} : { align }),
    ...(base === undefined ? {} : { base }),
    ...(caching === undefined ? {} : { caching: caching as Caching }),
  };
  const plans =
    map === undefined
      ? ALL.map((place) => tryPlan({ ...request, map: place }))
      : [planPageMap({ ...request, map: map as PageMapPlace })];
  const advice = { media: kind, ...adviceAmong(plans, advisePageMap(kind, size, memory)) };
  if (json) {
    out.json({ plans, advice });
    return;
  }
  for (const line of planLines(plans)) out.line(line);
  out.line();
  out.line(`advice: ${advice.map} (${advice.why})`);
}

/** Nobody is advised to do what was just refused. */
function adviceAmong(plans: readonly Planned[], advice: PageMapAdvice): PageMapAdvice {
  const refused = plans.some((plan) => plan.map === advice.map && "refused" in plan);
  return refused ? { map: "none", why: `map ${advice.map} does not fit` } : advice;
}

/** Beside others a plan that cannot be is a column of its own, and no error. */
function tryPlan(request: PageMapRequest): Planned {
  try {
    return planPageMap(request);
  } catch (error) {
    if (!isDaxError(error, "ENXIO", "EOPNOTSUPP")) throw error;
    return { map: request.map, refused: `${error.code}: ${error.detail}` };
  }
}

function planLines(plans: readonly Planned[]): string[] {
  const good = plans.filter((plan) => !("refused" in plan));
  const row = (name: string, of: (plan: PageMapPlan) => string): string[] => [
    name,
    ...good.map((plan) => of(plan as PageMapPlan)),
  ];
  const rows = [
    row("map", ({ map }) => map),
    row("descriptors", ({ descriptors }) => String(descriptors)),
    row("cost in memory", ({ costInMemory }) => formatSize(costInMemory)),
    row("cost on device", ({ costOnDevice }) => formatSize(costOnDevice)),
    row("descriptors at", ({ map, costOnDevice }) => {
      return map === "dev" ? `8192+${costOnDevice}` : map === "mem" ? "memory" : "-";
    }),
    row("data at", ({ dataOffset }) => String(dataOffset)),
    row("pages of data", ({ npfns }) => String(npfns)),
    row("data", ({ data }) => formatSize(data)),
    row("lost to alignment", ({ reserveUnused, endTrunc }) => formatSize(reserveUnused + endTrunc)),
    row("dax", ({ map }) => (map === "none" ? "no: a disk, or page-less" : "yes")),
    row("use of a page writes", ({ map }) => {
      return map === "dev" ? "64 B of media" : "no media";
    }),
  ];
  const refused = plans.flatMap((plan) =>
    "refused" in plan ? [`${plan.map}: ${plan.refused}`] : [],
  );
  return [...table(rows), ...refused];
}
