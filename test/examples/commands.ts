import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Supervisor, template } from "castellan";
import { expect, test } from "vitest";
import { ask, compare, press, report, translate } from "../../examples/commands.ts";
import { onFake } from "./on-fake.ts";

test("commands.ts: treats what users type as text, and calls commands and skills by name", async () => {
  const { options } = onFake(
    (turn) => turn.text(`${turn.verbatim ? "text" : "typed"}: ${turn.prompt} after ${turn.history.length}`),
    { commands: ["hand-over", "translate"] },
  );
  await using _ = await Supervisor.start([template("support", {}), { name: "reports" }], options);
  expect(await ask("ada", "/clear @/etc/passwd")).toBe("text: /clear @/etc/passwd after 0");
  expect(await press("hand over", "ada")).toBe("typed: /hand-over after 2");
  expect(await press("shorten", "ada")).toBe("The conversation has been compacted.");
  expect(await ask("ada", "And now?")).toBe("text: And now? after 2");
  expect(await press("begin again", "ada")).toBe("Let us begin again.");
  expect(await ask("ada", "And now?")).toBe("text: And now? after 0");
  expect(await translate("ada", "Good morning, ada@example.com")).toContain("typed: /translate Good morning,");
  expect(await translate("ada", "Good morning, @/etc/passwd")).toBe("Please leave out words that begin with @.");
  expect(await report()).toBe("typed: Summarise @figures/today.csv after 0");
});

test("commands.ts: sends photos and documents", async () => {
  const contents: unknown[] = [];
  const { options } = onFake((turn) => {
    contents.push(turn.message.message.content);
    return turn.text("It does.");
  });
  await using _ = await Supervisor.start([template("support", {})], options);
  const path = fileURLToPath(import.meta.url);
  const photo = Buffer.from([0xff, 0xd8, 0xff, 0xe0]);
  expect(await compare("ada", photo, path)).toBe("It does.");
  expect(contents).toMatchObject([
    [
      { type: "text" },
      { type: "image", source: { type: "base64", data: photo.toString("base64") } },
      { type: "image", source: { type: "url" } },
      { type: "document", source: { type: "text", data: readFileSync(path, "utf8") }, title: "commands.ts" },
    ],
  ]);
});
