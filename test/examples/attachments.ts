import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Supervisor, session, template } from "castellan";
import { expect, test } from "vitest";
import { compare, upload } from "../../examples/attachments.ts";
import { onFake } from "./on-fake.ts";

test("attachments.ts: sends photos and documents", async () => {
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
      { type: "document", source: { type: "text", data: readFileSync(path, "utf8") }, title: "attachments.ts" },
    ],
  ]);
});

test("attachments.ts: takes the files of a form by their content, and refuses those that Claude cannot read", async () => {
  const contents: unknown[] = [];
  const { options } = onFake((turn) => {
    contents.push(turn.message.message.content);
    return turn.text("I see.");
  });
  await using _ = await Supervisor.start([template("support", {})], options);
  const form = new FormData();
  form.set("prompt", "What is this?");
  form.append("files", new File([new Uint8Array([0xff, 0xd8, 0xff, 0xe0])], "photo.bin"));
  form.append("files", new File(["a note"], "note.md", { type: "text/markdown" }));
  const { id } = (await (await upload("ada", form)).json()) as { readonly id: string };
  await (await session(["support", "ada"]).turn(id))?.result();
  expect(contents).toMatchObject([
    [
      { type: "image", source: { media_type: "image/jpeg" } },
      { type: "document", title: "note.md", source: { type: "text", data: "a note" } },
      { type: "text", text: "What is this?" },
    ],
  ]);
  form.append("files", new File([new Uint8Array([0, 1, 2, 3])], "program.exe"));
  expect((await upload("ada", form)).status).toBe(415);
  expect(await session(["support", "ada"]).turns()).toHaveLength(1);
});
