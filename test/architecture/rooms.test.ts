import { expect, test } from "vitest";
import { roomsConfigIsCurrent } from "../../scripts/rooms.ts";

test("biome.rooms.json is what scripts/rooms.ts writes", () => {
  // `node scripts/rooms.ts` puts it right.
  expect(roomsConfigIsCurrent()).toBe(true);
});
