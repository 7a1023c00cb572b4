import { session } from "castellan";
import { expectNoLeaks } from "castellan/testing";
import { expect, test } from "vitest";
import { answer, asksAgainAfterACrash, onFake, scripted, startSupport, stubbed } from "../../examples/testing.ts";

test("testing.ts: continues the conversation after a crash, and reports the cut turn", async () => {
  const fake = scripted();
  {
    await using _supervisor = await startSupport(onFake(fake));
    expect(await answer("hello")).toBe("Answer number 1");
    expect(await answer("die")).toBe("Please ask again.");
    expect(await answer("look")).toMatch(/^Answer number/);
    await expect(answer("refuse")).rejects.toMatchObject({ code: "TURN_FAILED", details: { class: "auth" } });
    expect(session("support").status()).toMatchObject({ restarts: 1 });
    const [first, second] = fake.processes;
    expect(first?.signals).toEqual([]);
    expect(second?.resumedFrom).toBe(first?.sessionId);
    const { systemPrompt } = second?.initialize ?? {};
    expect(JSON.stringify(systemPrompt)).toContain("You help customers");
  }
  await expectNoLeaks({ fake });
});

test("testing.ts: has a test that passes", async () => {
  await asksAgainAfterACrash();
  await expectNoLeaks();
});

test("testing.ts: stubs sessions without a change of the application", async () => {
  expect(await stubbed()).toBe("We open at nine.");
  await expectNoLeaks();
});
