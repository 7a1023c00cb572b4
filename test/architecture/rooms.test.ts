import { expect, test } from "vitest";
import { roomsAreCurrent } from "../../scripts/rooms.ts";

test("rooms.ts: biome.rooms.json and the picture in ARCHITECTURE.md are up to date (npm run rooms writes them)", () => {
  expect(roomsAreCurrent()).toBe(true);
});
