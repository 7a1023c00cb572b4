import { describe, expect, it } from "vitest";
import { accountOf, credentialsIn, credentialsOf } from "../../src/claude/credentials.ts";
import { buildEnvironment } from "../../src/claude/environment.ts";
import type { Shape } from "../../src/claude/fingerprint.ts";

const HOST = { PATH: "/bin", HOME: "/home/a", ANTHROPIC_API_KEY: "key", AWS_PROFILE: "p" };
const plain: Shape = { options: {} };

describe("the credentials of a process", () => {
  it.each<[what: string, shape: Shape, host: Record<string, string>]>([
    ["the host's key", plain, { ANTHROPIC_API_KEY: "other" }],
    ["the host's token", plain, { ANTHROPIC_AUTH_TOKEN: "other" }],
    ["a login's token", plain, { CLAUDE_CODE_OAUTH_TOKEN: "other" }],
    ["headers", plain, { ANTHROPIC_CUSTOM_HEADERS: "x: 1" }],
    ["another address", plain, { ANTHROPIC_BASE_URL: "https://gateway" }],
    ["another provider", plain, { CLAUDE_CODE_USE_BEDROCK: "1" }],
    ["a provider's key", plain, { ANTHROPIC_FOUNDRY_API_KEY: "other" }],
    ["a key of its own", { ...plain, apiKey: "own" }, {}],
    ["a key by a variable", { ...plain, apiKey: { env: "MINE" } }, { MINE: "own" }],
    ["a key in its environment", { options: { env: { ANTHROPIC_API_KEY: "own" } } }, {}],
    ["what it inherits besides", { ...plain, inheritEnv: ["AWS_*"] }, {}],
  ])("are others with %s", (_, shape, host) => {
    expect(credentialsOf(shape, { ...HOST, ...host })).not.toBe(credentialsOf(plain, HOST));
  });

  it.each<[what: string, shape: Shape, host: Record<string, string>]>([
    ["another model", { options: { model: "m" } }, { ANTHROPIC_MODEL: "n" }],
    ["another home, where there is a key", plain, { HOME: "/home/b", CLAUDE_CONFIG_DIR: "/etc" }],
    ["a variable that it does not inherit", plain, { AWS_PROFILE: "q", MINE: "other" }],
    ["the same key by another way", { ...plain, apiKey: { env: "MINE" } }, { ANTHROPIC_API_KEY: "no", MINE: "key" }],
  ])("are the same with %s", (_, shape, host) => {
    expect(credentialsOf(shape, { ...HOST, ...host })).toBe(credentialsOf(plain, HOST));
  });

  it("are those of whoever has logged in, where nothing is given", () => {
    const { ANTHROPIC_API_KEY: _, ...host } = HOST;
    expect(credentialsOf(plain, { ...host, HOME: "/home/b" })).not.toBe(credentialsOf(plain, host));
  });

  it("are not there if the variable that is to have the key is not", () => {
    const shape: Shape = { ...plain, apiKey: { env: "MINE" } };
    expect(credentialsOf(shape, HOST)).toBeUndefined();
    expect(credentialsOf(shape, { ...HOST, MINE: "" })).toBeUndefined();
  });

  it("can be told from its environment, in whatever order that is", () => {
    const environment = buildEnvironment({ host: HOST });
    const turned = Object.fromEntries(Object.entries(environment).toReversed());
    expect(credentialsIn({ ...turned, CLAUDE_AGENT_SDK_VERSION: "1" })).toBe(credentialsOf(plain, HOST));
  });

  it("do not tell what they are", () => {
    expect(credentialsOf(plain, HOST)).toMatch(/^[\w-]{43}$/);
  });
});

it("is the same account with the same key, whatever is sent along", () => {
  const host = { ...HOST, ANTHROPIC_CUSTOM_HEADERS: "x: 1", HOME: "/home/b" };
  expect(accountOf(plain, host)).toBe(accountOf(plain, HOST));
  expect(accountOf({ ...plain, apiKey: "own" }, HOST)).not.toBe(accountOf(plain, HOST));
});
