import fc from "fast-check";
import { expect, test } from "vitest";
import { template } from "../../src/application/options/template.ts";
import type { SessionName } from "../../src/names.ts";
import { EventIds, nameOfSessionId, sessionIdOf } from "../../src/server/anthropic/ids.ts";
import { formatPlace, readPlace } from "../../src/server/anthropic/place.ts";
import { crashes, inOrder, says, streams, thinks, turnByTurn, uses } from "../../src/testing/index.ts";
import { eventually, unique } from "../session-on-fake/scene.ts";
import { AnthropicScene, isIdle, message, until, untilIdle } from "./anthropic-scene.ts";

const names = fc.oneof(
  fc.string({ minLength: 1, maxLength: 20 }),
  fc.tuple(
    fc.string({ minLength: 1, maxLength: 9 }),
    fc.oneof(fc.integer(), fc.string({ minLength: 1, maxLength: 9 })),
  ),
);

test("ids: stand for one session, one tool call, one thread and one place each", () => {
  fc.assert(
    fc.property(
      names,
      fc.string({ minLength: 1 }),
      fc.nat(),
      fc.nat(999),
      fc.array(fc.nat(), { maxLength: 64 }),
      (name, id, number, sub, held) => {
        const session: SessionName = name;
        expect(nameOfSessionId(sessionIdOf(session))).toEqual(session);
        const ids = new EventIds(session);
        expect(ids.toolUseOf(ids.toolUse(id))).toBe(id);
        expect(ids.toolUseOf(ids.block(id))).toBeUndefined();
        expect(ids.threadOf(ids.thread(id))).toBe(id);
        expect(new EventIds(["another", "name"]).toolUseOf(ids.toolUse(id))).toBeUndefined();
        expect(readPlace(formatPlace({ number, sub, held }))).toEqual({ number, sub, held });
      },
    ),
  );
  for (const id of ["", "sesn_", "sesn_!", "sesn_W10", `${sessionIdOf("a")}=`, "sevt_x"])
    expect(nameOfSessionId(id)).toBeUndefined();
  for (const id of ["", "1", "1.", "x.1", "1.1~", "1.1~x", "99999999999.1"]) expect(readPlace(id)).toBeUndefined();
});

test("events.list: gives the same events in pages of any size, in both orders, by type and by time", async () => {
  const agent = unique("support");
  await using scene = await AnthropicScene.start([template(agent, { approvals: true, permissionMode: "default" })], {
    script: turnByTurn(
      inOrder(thinks("hm"), says("a"), uses("Read", { file_path: "/a" }), says("b")),
      inOrder(crashes()),
      async (turn) => {
        await Promise.all(["x", "y"].map((command) => turn.toolUse("Bash", { command }, { ask: true })));
        await turn.text("c");
      },
      inOrder(streams(["d", "e"])),
    ),
  });
  const { id } = await scene.create(agent);
  for (const text of ["one", "two", "three"]) {
    const stream = await scene.sessions.events.stream(id);
    await scene.sessions.events.send(id, { events: [message(text)] });
    const answer = async (event: Parameters<typeof isIdle>[0]): Promise<boolean> => {
      if (!isIdle(event)) return false;
      if (event.stop_reason.type !== "requires_action") return true;
      for (const tool_use_id of event.stop_reason.event_ids) {
        const allow = { type: "user.tool_confirmation", tool_use_id, result: "allow" } as const;
        await scene.sessions.events.send(id, { events: [allow] }).catch(() => {});
      }
      return false;
    };
    for await (const event of stream) if (await answer(event)) break;
  }
  const all = (await scene.sessions.events.list(id, { limit: 1_000 })).data;
  expect(all.length).toBeGreaterThan(25);
  expect(new Set(all.map((event) => event.id)).size).toBe(all.length);
  const types = ["user.message", "agent.tool_result", "session.status_idle"] as const;
  const some = all.filter(({ type }) => types.some((one) => one === type));
  for (const limit of [1, 2, 3, 7]) {
    expect(await Array.fromAsync(scene.sessions.events.list(id, { limit }))).toEqual(all);
    expect(await Array.fromAsync(scene.sessions.events.list(id, { limit, order: "desc" }))).toEqual(all.toReversed());
    expect(await Array.fromAsync(scene.sessions.events.list(id, { limit, types: [...types] }))).toEqual(some);
    const back = scene.sessions.events.list(id, { limit, types: [...types], order: "desc" });
    expect(await Array.fromAsync(back)).toEqual(some.toReversed());
  }
  const middle = all[12]?.processed_at ?? "";
  const at = (event: (typeof all)[number]): string => event.processed_at ?? "";
  expect(await Array.fromAsync(scene.sessions.events.list(id, { "created_at[gte]": middle }))).toEqual(
    all.filter((event) => at(event) >= middle),
  );
  expect(await Array.fromAsync(scene.sessions.events.list(id, { "created_at[lt]": middle }))).toEqual(
    all.filter((event) => at(event) < middle),
  );
});

test("agent.tool_use: is held until its permission is known, half a second at most, in streams and lists", async () => {
  const agent = unique("support");
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  await using scene = await AnthropicScene.start([template(agent, { approvals: true, permissionMode: "default" })], {
    script: async (turn) => {
      await turn.emit({
        type: "assistant",
        parent_tool_use_id: null,
        message: {
          role: "assistant",
          model: "m",
          id: "msg_tools",
          type: "message",
          usage: {},
          content: [{ type: "tool_use", id: "toolu_slow", name: "Read", input: {} }],
        },
      });
      await released;
      await turn.text("Done");
    },
  });
  const { id } = await scene.create(agent);
  const stream = await scene.sessions.events.stream(id);
  await scene.sessions.events.send(id, { events: [message("go")] });
  await eventually(() => scene.supervisor.listSessions()[0]?.state === "busy");
  const events = await until(stream, ({ type }) => type === "agent.tool_use");
  const last = events.at(-1);
  const since = Date.parse(last !== undefined && "processed_at" in last ? (last.processed_at ?? "") : "");
  expect(Date.now() - since).toBeGreaterThanOrEqual(499);
  expect(events.at(-1)).toMatchObject({ name: "Read", evaluated_permission: "allow" });
  const listed = await Array.fromAsync(scene.sessions.events.list(id, { types: ["agent.tool_use"] }));
  expect(listed).toEqual([events.at(-1)]);
  const rest = await scene.sessions.events.stream(id);
  release();
  expect((await untilIdle(rest)).map(({ type }) => type)).not.toContain("agent.tool_use");
});
