import { expect, test } from "vitest";
import { CastellanError, Supervisor } from "../../src/index.ts";

test("a mistake in each of many children: the message lists the first, and `details` all", async () => {
  const children = Array.from({ length: 1_000 }, (_, index) => ({ name: `s-${index}`, activation: "late" as "lazy" }));
  const error: unknown = await Supervisor.start(children).catch((thrown: unknown) => thrown);
  if (!CastellanError.is(error, "INVALID_OPTIONS")) throw error;
  expect(error.message.split("\n")).toHaveLength(22);
  expect(error.message).toMatch(/children\[19\]\.activation.*\n {2}- and 980 more, which `details` lists$/);
  expect(error.details.problems).toHaveLength(1_000);
});
