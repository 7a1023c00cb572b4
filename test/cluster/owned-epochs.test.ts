import { expect, test } from "vitest";
import { OwnedEpochs } from "../../src/cluster/owned-epochs.ts";
import { familyOf } from "../../src/cluster/placement.ts";
import { nameKey } from "../../src/names.ts";

test("OwnedEpochs: counts each owned session once for its family", () => {
  const owned = new OwnedEpochs([], familyOf);
  const [ann, bob, single] = [
    ["global", "chat", "ann"],
    ["global", "chat", "bob"],
    ["global", "single"],
  ].map((name) => nameKey(name as [string, ...string[]])) as [string, string, string];
  for (const key of [ann, bob, single]) owned.take(key, 1);
  // Claimed again under a higher epoch.
  owned.take(ann, 2);
  expect([owned.size, owned.families]).toEqual([3, { chat: 2, single: 1 }]);
  owned.drop(single);
  owned.drop(single);
  owned.drop(bob);
  expect([owned.size, owned.families, owned.epochOf(ann)]).toEqual([1, { chat: 1 }, 2]);
  owned.clear();
  expect([owned.size, owned.families, owned.keys]).toEqual([0, {}, []]);
});
