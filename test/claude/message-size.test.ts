import { expect, test } from "vitest";
import { isTooDeep, MOST_DEPTH, sizeOf } from "../../src/claude/messages/message-size.ts";

/** Returns an object with this many objects in each other, the innermost with a text. */
function nested(depth: number, text = "text"): object {
  let value: object = { text };
  for (let level = 1; level < depth; level++) value = level % 2 === 0 ? { value } : [value];
  return value;
}

test("isTooDeep(): allows a message of the deepest nesting and no deeper one", () => {
  expect(isTooDeep(nested(MOST_DEPTH))).toBe(false);
  expect(isTooDeep(nested(MOST_DEPTH + 1))).toBe(true);
  expect(isTooDeep({ shallow: 1, deep: nested(MOST_DEPTH + 1) })).toBe(true);
});

test("sizeOf(): counts the texts at any depth, and more for more parts", () => {
  const size = sizeOf({ a: "x" });
  expect(sizeOf({ a: "x".repeat(1_001) })).toBe(size + 1_000);
  expect(sizeOf({ a: ["x".repeat(500), { b: "x".repeat(501) }] })).toBeGreaterThan(size + 1_000);
  expect(sizeOf({ a: 1, b: null, c: true })).toBeLessThan(size);
});

test("sizeOf(): is the same whether the depth of the message was checked before or not", () => {
  const messages = [nested(3, "x".repeat(2_000)), { a: "y".repeat(70_000) }, nested(MOST_DEPTH)];
  for (const message of messages) {
    const size = sizeOf(message);
    isTooDeep(message);
    expect(sizeOf(message)).toBe(size);
    expect(sizeOf(message)).toBe(size);
  }
  isTooDeep(messages[0] ?? {});
  expect(sizeOf(messages[1] ?? {})).toBeGreaterThan(70_000);
});

test("sizeOf(): is finite for a message that is too deep", () => {
  const message = { text: "x".repeat(100), deep: nested(10 * MOST_DEPTH) };
  expect(isTooDeep(message)).toBe(true);
  expect(sizeOf(message)).toBeGreaterThan(100);
  expect(Number.isFinite(sizeOf(message))).toBe(true);
});
