import { describe, it } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { journalConformance } from "../../src/testing/conformance/journal-conformance.ts";

describe("memoryJournal", () => {
  for (const { name, run } of journalConformance(memoryJournal)) it(name, run);
});
