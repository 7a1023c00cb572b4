import type { SessionStoreEntry } from "@anthropic-ai/claude-agent-sdk";
import { expect, test } from "vitest";
import { withWholeCompactions } from "../../src/claude/half-compaction.ts";

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
/** Messages after the half compaction. */
const ON = [QUEUED, entry("assistant", "a2", "u2"), entry("user", "u3", "a2"), entry("assistant", "a3", "u3")];

test.each<[string, readonly SessionStoreEntry[], readonly SessionStoreEntry[]]>([
  ["the boundary alone", [BOUNDARY], []],
  ["a boundary and attachments", [BOUNDARY, ...ATTACHMENTS], []],
  ["a boundary beside entries without an id", [BOUNDARY, QUEUED], [QUEUED]],
  ["a half after which the conversation continued", [BOUNDARY, ...ATTACHMENTS, ...ON], ON],
  [
    "a half before a whole one",
    [BOUNDARY, ...ON, boundary("b2"), summary("s2", "b2")],
    [...ON, boundary("b2"), summary("s2", "b2")],
  ],
  ["two halves", [BOUNDARY, ...ON, boundary("b2"), entry("attachment", "y", "b2")], ON],
  [
    "a half after a whole one",
    [...WHOLE, entry("assistant", "a2", "s1"), boundary("b2")],
    [...WHOLE, entry("assistant", "a2", "s1")],
  ],
])("withWholeCompactions(): leaves out %s", (_, then, left) => {
  expect(withWholeCompactions([...BEFORE, ...then])).toEqual([...BEFORE, ...left]);
});

test.each<[string, readonly SessionStoreEntry[]]>([
  ["no compaction", BEFORE],
  ["no entries", []],
  ["a whole compaction", [...BEFORE, ...WHOLE]],
  ["a compaction whose summary has an unknown parent", [...BEFORE, BOUNDARY, summary("s1", "unknown")]],
  [
    "a compaction whose summary follows the next boundary",
    [...BEFORE, BOUNDARY, boundary("b2"), SUMMARY, summary("s2", "b2")].toSpliced(4, 0, ...ATTACHMENTS),
  ],
  ["a compaction after which Claude answered", [...BEFORE, BOUNDARY, entry("assistant", "a2", "b1")]],
  ["a boundary without an id", [...BEFORE, { type: "system", subtype: "compact_boundary" }]],
  ["a microcompaction", [...BEFORE, entry("system", "m", "u2", { subtype: "microcompact_boundary" })]],
])("withWholeCompactions(): keeps %s", (_, entries) => {
  expect(withWholeCompactions(entries)).toEqual(entries);
});
