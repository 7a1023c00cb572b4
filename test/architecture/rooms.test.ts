import { expect, test } from "vitest";
import { roomsConfigIsCurrent } from "../../scripts/rooms.ts";

test("biome.rooms.json: matches what scripts/rooms.ts writes", () => {
  // `npm run rooms` rewrites the file.
  expect(roomsConfigIsCurrent()).toBe(true);
});
