import { Supervisor, template } from "castellan";
import { expect, test } from "vitest";
import { ask, press, report, translate } from "../../examples/commands.ts";
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
