/** Exhibits: what they show is what they count, so that nothing of it may be left out. */
import { isSettled } from "../../../src/cli/exhibits/exhibit.ts";
import { EXHIBITS } from "../../../src/cli/exhibits/exhibits.ts";
import { daxCapabilities } from "../../../src/machine/capabilities.ts";
import { reportWear } from "../../../src/machine/wear-report.ts";
import type { Story } from "./story.ts";

/** What is copied says whether it was written back. */
const tried: Story = {
  name: "dax: capabilities",
  run: () => {
    const wrong = daxCapabilities().filter(({ api, cells }) => {
      const stores = api === "write and fsync" || api === "mmap shared, store and flush";
      return stores && cells["page-cache"]?.copies !== 2;
    });
    return wrong.length === 0 ? undefined : `${wrong[0]?.api} reaches no device`;
  },
};

const worn: Story = {
  name: "dax: wear",
  run: () => {
    const [cached] = reportWear({ writes: 10, map: "mem" });
    const file = cached?.ranges.find(({ name }) => name === "file");
    return file?.worst === 1 ? undefined : `the page was written ${file?.worst} times`;
  },
};

export const stories: readonly Story[] = [
  ...EXHIBITS.map((exhibit) => ({
    name: `exhibit: ${exhibit.name}`,
    run: () => {
      const acted = exhibit.run();
      return isSettled(acted) ? undefined : JSON.stringify(acted.figures);
    },
  })),
  tried,
  worn,
];
