import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StderrTail } from "../../src/claude/process.ts";
import { hide, hideInMessage, secretsIn } from "../../src/claude/secrets.ts";

const KEY = `sk-ant-api03-${"Zq7".repeat(31)}`;

describe("secretsIn", () => {
  it("finds keys, tokens and passwords by the names of their variables", () => {
    const environment = {
      ANTHROPIC_API_KEY: "key-of-anthropic",
      CLAUDE_CODE_OAUTH_TOKEN: "token-of-oauth",
      AWS_SECRET_ACCESS_KEY: "key-of-aws",
      AWS_BEARER_TOKEN_BEDROCK: "bearer-of-bedrock",
      DB_PASSWORD: "password-of-db",
      HTTPS_PROXY: "http://user:pass%20word@proxy:8080",
      ANTHROPIC_CUSTOM_HEADERS: "X-One: first-header\nAuthorization: Bearer second-header",
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: "320000000",
      GOOGLE_APPLICATION_CREDENTIALS: "/etc/google.json",
      PWD: "/srv/application",
      GITHUB_TOKEN: "short",
    };
    expect(new Set(secretsIn(environment))).toEqual(
      new Set([
        "key-of-anthropic",
        "token-of-oauth",
        "key-of-aws",
        "bearer-of-bedrock",
        "password-of-db",
        "pass%20word",
        "pass word",
        "first-header",
        "Bearer second-header",
        "second-header",
      ]),
    );
  });

  it("finds secrets of MCP servers", () => {
    const servers = {
      one: { type: "http", url: "http://x", headers: { Authorization: "Bearer token-of-one" } },
      two: { type: "stdio", command: "two", env: { TWO_TOKEN: "token-of-two", LEVEL: "debugging" } },
      odd: { env: "none", headers: null },
    };
    expect(new Set(secretsIn({}, servers))).toEqual(new Set(["Bearer token-of-one", "token-of-one", "token-of-two"]));
  });

  it("hides a secret within another one as a whole", () => {
    const secrets = secretsIn({ A_KEY: "secret-of", B_KEY: "secret-of-more" });
    expect(hide("secret-of-more and secret-of", secrets)).toBe("[hidden] and [hidden]");
  });

  it("hides secrets as JSON writes them", () => {
    const secrets = secretsIn({ A_KEY: 'quoted "key"\\' });
    const message = { type: "result", errors: ['refused: quoted "key"\\'], nested: { is_error: true } };
    expect(hideInMessage(message, secrets)).toEqual({ ...message, errors: ["refused: [hidden]"] });
    expect(hideInMessage(message, ["not-in-it"])).toBe(message);
  });
});

describe("StderrTail with secrets", () => {
  const tailOf = (text: string, cuts: readonly number[], secrets: readonly string[] = [KEY]): string => {
    const tail = new StderrTail();
    tail.secrets = secrets;
    let from = 0;
    for (const cut of [...cuts].sort((one, other) => one - other)) {
      tail.append(text.slice(from, cut));
      from = Math.max(from, cut);
    }
    tail.append(text.slice(from));
    return tail.text ?? "";
  };
  /** Whether eight consecutive characters of the key's own part are readable. */
  const leaks = (text: string): boolean =>
    Array.from({ length: KEY.length - 20 }, (_, at) => KEY.slice(at + 13, at + 21)).some((part) => text.includes(part));

  it("shows no part of a key, wherever the tail and its pieces are cut", () => {
    const length = 2048 + 2 * KEY.length;
    fc.assert(
      fc.property(
        fc.nat(length),
        fc.nat(60),
        fc.array(fc.nat(2 * length), { maxLength: 6 }),
        fc.boolean(),
        (after, between, cuts, twice) => {
          const text = `${"a".repeat(50)}${KEY}${twice ? " ".repeat(between) + KEY : ""}${"y".repeat(after)}`;
          const shown = tailOf(text, cuts);
          expect(leaks(shown)).toBe(false);
          expect(shown.length).toBeLessThanOrEqual(2048);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("hides a key that a kill cut off", () => {
    for (let length = 21; length < KEY.length; length++) {
      const shown = tailOf(`refused: ${KEY.slice(0, length)}`, [15, 30]);
      expect(shown).toBe("refused: [hidden]");
    }
    expect(tailOf("refused: sk-ant-", [])).toBe("refused: sk-ant-");
  });

  it("removes colours and other control sequences", () => {
    expect(tailOf("\u001b[31mError\u001b[0m: \u202ebad\u0007 \u001b]0;title\u0007end", [])).toBe(
      "Error: \\u202ebad\\u0007 end",
    );
  });
});
