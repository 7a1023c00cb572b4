import { expect, test } from "vitest";
import { roomsConfigIsCurrent } from "../../scripts/rooms.ts";

test("biome.rooms.json is what scripts/rooms.ts writes", () => {
  // `npm run rooms` puts it right.
  expect(roomsConfigIsCurrent()).toBe(true);
});
