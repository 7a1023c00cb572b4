import { expect, test } from "vitest";
import { read, readOrSay, startReading } from "../../examples/structured.ts";
import { onFake } from "./on-fake.ts";

test("structured.ts: returns data of the schema, with its transforms, or what Claude said instead", async () => {
  const { options } = onFake(async (turn) => {
    const [, data] = turn.prompt.split("\n");
    await turn.text("as data");
    await turn.result(data?.startsWith("{") ? { structuredOutput: JSON.parse(data) } : {});
  });
  await using _supervisor = await startReading(options);
  const invoice = '{"number":"7","total":12.5,"due":"2026-12-31"}';
  expect(await read(invoice)).toEqual({ number: "7", total: 12.5, due: new Date("2026-12-31") });
  expect(await readOrSay("{}")).toBe("as data");
  expect(await readOrSay("a letter")).toBe("as data");
});
