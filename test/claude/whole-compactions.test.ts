import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { withWholeCompactions } from "../../src/claude/whole-compactions.ts";

const entry = (type: string, uuid: string, parentUuid: string | null, more: object = {}): SessionStoreEntry => ({
  type,
  uuid,
  parentUuid,
  ...more,
});
const boundary = (uuid: string): SessionStoreEntry => entry("system", uuid, null, { subtype: "compact_boundary" });
const summary = (uuid: string, parent: string): SessionStoreEntry =>
  entry("user", uuid, parent, { isCompactSummary: true });

const BEFORE = [entry("user", "u1", null), entry("assistant", "a1", "u1"), entry("user", "u2", "a1")];
const BOUNDARY = boundary("b1");
const ATTACHMENTS = [entry("attachment", "x1", "b1"), entry("attachment", "x2", "x1")];
const SUMMARY = summary("s1", "x2");
const WHOLE = [BOUNDARY, ...ATTACHMENTS, SUMMARY];
const QUEUED: SessionStoreEntry = { type: "queue-operation" };
/** What is said once the part has been left out. */
const ON = [QUEUED, entry("assistant", "a2", "u2"), entry("user", "u3", "a2"), entry("assistant", "a3", "u3")];

test.each<[string, readonly SessionStoreEntry[], readonly SessionStoreEntry[]]>([
  ["the boundary alone", [BOUNDARY], []],
  ["what comes then", [BOUNDARY, ...ATTACHMENTS], []],
  ["entries without an id", [BOUNDARY, QUEUED], [QUEUED]],
  ["and the conversation has gone on without it", [BOUNDARY, ...ATTACHMENTS, ...ON], ON],
  [
    "and the next one is whole",
    [BOUNDARY, ...ON, boundary("b2"), summary("s2", "b2")],
    [...ON, boundary("b2"), summary("s2", "b2")],
  ],
  ["and so was the next one", [BOUNDARY, ...ON, boundary("b2"), entry("attachment", "y", "b2")], ON],
  [
    "behind one that is whole",
    [...WHOLE, entry("assistant", "a2", "s1"), boundary("b2")],
    [...WHOLE, entry("assistant", "a2", "s1")],
  ],
])("a compaction that is there by half is left out: %s", (_, then, left) => {
  expect(withWholeCompactions([...BEFORE, ...then])).toEqual([...BEFORE, ...left]);
});

test.each<[string, readonly SessionStoreEntry[]]>([
  ["none", BEFORE],
  ["nothing at all", []],
  ["one that is whole", [...BEFORE, ...WHOLE]],
  ["one whose summary hangs in the air", [...BEFORE, BOUNDARY, summary("s1", "unknown")]],
  [
    "one whose summary comes after the next boundary",
    [...BEFORE, BOUNDARY, boundary("b2"), SUMMARY, summary("s2", "b2")].toSpliced(4, 0, ...ATTACHMENTS),
  ],
  ["one after which Claude has answered", [...BEFORE, BOUNDARY, entry("assistant", "a2", "b1")]],
  ["a boundary without an id", [...BEFORE, { type: "system", subtype: "compact_boundary" }]],
  ["a small one, of tools only", [...BEFORE, entry("system", "m", "u2", { subtype: "microcompact_boundary" })]],
])("what is no half is left as it is: %s", (_, entries) => {
  expect(withWholeCompactions(entries)).toEqual(entries);
});
