import { describe, expect, it } from "vitest";
import { accountOf, credentialsIn, credentialsOf } from "../../src/claude/credentials.ts";
import { buildEnvironment } from "../../src/claude/environment.ts";
import type { Shape } from "../../src/claude/fingerprint.ts";

const HOST = { PATH: "/bin", HOME: "/home/a", ANTHROPIC_API_KEY: "key", AWS_PROFILE: "p" };
const plain: Shape = { options: {} };

describe("credentialsOf() and credentialsIn()", () => {
  it.each<[what: string, shape: Shape, host: Record<string, string>]>([
    ["the host's key", plain, { ANTHROPIC_API_KEY: "other" }],
    ["the host's token", plain, { ANTHROPIC_AUTH_TOKEN: "other" }],
    ["a login's token", plain, { CLAUDE_CODE_OAUTH_TOKEN: "other" }],
    ["headers", plain, { ANTHROPIC_CUSTOM_HEADERS: "x: 1" }],
    ["another address", plain, { ANTHROPIC_BASE_URL: "https://gateway" }],
    ["another provider", plain, { CLAUDE_CODE_USE_BEDROCK: "1" }],
    ["a provider's key", plain, { ANTHROPIC_FOUNDRY_API_KEY: "other" }],
    ["its own key", { ...plain, apiKey: "own" }, {}],
    ["a key by a variable", { ...plain, apiKey: { env: "MINE" } }, { MINE: "own" }],
    ["a key in its environment", { options: { env: { ANTHROPIC_API_KEY: "own" } } }, {}],
    ["an inherited variable", { ...plain, inheritEnv: ["AWS_*"] }, {}],
  ])("differ with %s", (_, shape, host) => {
    expect(credentialsOf(shape, { ...HOST, ...host })).not.toBe(credentialsOf(plain, HOST));
  });

  it.each<[what: string, shape: Shape, host: Record<string, string>]>([
    ["another model", { options: { model: "m" } }, { ANTHROPIC_MODEL: "n" }],
    ["another home beside a key", plain, { HOME: "/home/b", CLAUDE_CONFIG_DIR: "/etc" }],
    ["a variable that it does not inherit", plain, { AWS_PROFILE: "q", MINE: "other" }],
    [
      "the same key in another variable",
      { ...plain, apiKey: { env: "MINE" } },
      { ANTHROPIC_API_KEY: "no", MINE: "key" },
    ],
  ])("are equal with %s", (_, shape, host) => {
    expect(credentialsOf(shape, { ...HOST, ...host })).toBe(credentialsOf(plain, HOST));
  });

  it("depend on the home without a key, where a login may be", () => {
    const { ANTHROPIC_API_KEY: _, ...host } = HOST;
    expect(credentialsOf(plain, { ...host, HOME: "/home/b" })).not.toBe(credentialsOf(plain, host));
  });

  it("are undefined if the key's variable is unset", () => {
    const shape: Shape = { ...plain, apiKey: { env: "MINE" } };
    expect(credentialsOf(shape, HOST)).toBeUndefined();
    expect(credentialsOf(shape, { ...HOST, MINE: "" })).toBeUndefined();
  });

  it("are equal from an environment in any order", () => {
    const environment = buildEnvironment({ host: HOST });
    const turned = Object.fromEntries(Object.entries(environment).toReversed());
    expect(credentialsIn({ ...turned, CLAUDE_AGENT_SDK_VERSION: "1" })).toBe(credentialsOf(plain, HOST));
  });

  it("are a digest", () => {
    expect(credentialsOf(plain, HOST)).toMatch(/^[\w-]{43}$/);
  });
});

it("accountOf(): depends on the key, and not on headers or home", () => {
  const host = { ...HOST, ANTHROPIC_CUSTOM_HEADERS: "x: 1", HOME: "/home/b" };
  expect(accountOf(plain, host)).toBe(accountOf(plain, HOST));
  expect(accountOf({ ...plain, apiKey: "own" }, HOST)).not.toBe(accountOf(plain, HOST));
});
