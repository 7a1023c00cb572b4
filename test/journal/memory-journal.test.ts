import { describe, it } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";

describe("the journal in memory", () => {
  for (const { name, run } of journalConformance(memoryJournal)) it(name, run);
});
