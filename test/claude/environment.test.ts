import { describe, expect, it } from "vitest";
import { buildEnvironment } from "../../src/claude/environment.ts";

const host = {
  PATH: "/bin",
  HOME: "/home/me",
  LANG: "C",
  LC_ALL: "C.UTF-8",
  XDG_CONFIG_HOME: "/home/me/.config",
  TZ: "UTC",
  HTTPS_PROXY: "http://proxy",
  https_proxy: "http://proxy",
  no_proxy: "localhost",
  NODE_EXTRA_CA_CERTS: "/ca.pem",
  ANTHROPIC_API_KEY: "sk-host",
  ANTHROPIC_BASE_URL: "http://api",
  CLAUDE_CODE_USE_BEDROCK: "1",
  AWS_SECRET_ACCESS_KEY: "aws",
  AWS_REGION: "eu-west-1",
  DATABASE_URL: "postgres://user:password@db",
  NODE_OPTIONS: "--inspect",
  CLAUDECODE: "1",
  PATHOLOGY: "x",
  GITHUB_TOKEN: "ghp",
  UNSET: undefined,
};

describe("buildEnvironment", () => {
  it("passes on paths, locale, proxies in both cases, certificates and Claude Code's own, and no other thing", () => {
    expect(Object.keys(buildEnvironment({ host })).sort()).toEqual(
      [
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "XDG_CONFIG_HOME",
        "TZ",
        "HTTPS_PROXY",
        "https_proxy",
        "no_proxy",
        "NODE_EXTRA_CA_CERTS",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_USE_BEDROCK",
      ].sort(),
    );
  });

  it("keeps the values and the spelling of the names", () => {
    const built = buildEnvironment({ host: { Path: "C:\\Windows", SystemRoot: "C:\\", http_proxy: "p" } });
    expect(built).toEqual({ Path: "C:\\Windows", SystemRoot: "C:\\", http_proxy: "p" });
  });

  it("inherits all with `true`, save what is not set", () => {
    const { UNSET: _, ...set } = host;
    expect(buildEnvironment({ host, inheritEnv: true })).toEqual(set);
  });

  it.each<[boolean | readonly string[] | undefined]>([[false], [undefined], [[]]])(
    "adds nothing with %j",
    (inheritEnv) => {
      expect(buildEnvironment({ host, inheritEnv })).toEqual(buildEnvironment({ host }));
    },
  );

  it("adds names and beginnings to the allow-list, whatever their case", () => {
    const added = (inheritEnv: string[]): string[] =>
      Object.keys(buildEnvironment({ host, inheritEnv })).filter((name) => !(name in buildEnvironment({ host })));
    expect(added(["AWS_*"])).toEqual(["AWS_SECRET_ACCESS_KEY", "AWS_REGION"]);
    expect(added(["AWS_REGION", "github_token"])).toEqual(["AWS_REGION", "GITHUB_TOKEN"]);
    expect(added(["AWS", "DATABASE"])).toEqual([]);
  });

  it("sets `env` over the host's, and the session's own key over both", () => {
    expect(buildEnvironment({ host, apiKey: "sk-own" })["ANTHROPIC_API_KEY"]).toBe("sk-own");
    const env = { ANTHROPIC_API_KEY: "sk-env", EXTRA: "yes", EMPTY: "" };
    expect(buildEnvironment({ host, env })).toMatchObject(env);
    expect(buildEnvironment({ host, apiKey: "sk-own", env })).toMatchObject({ ...env, ANTHROPIC_API_KEY: "sk-own" });
  });

  it("leaves the host's credentials out where the session has a key, for Claude Code would send both", () => {
    const rich = {
      ...host,
      ANTHROPIC_AUTH_TOKEN: "host-token",
      CLAUDE_CODE_OAUTH_TOKEN: "oauth",
      CLAUDE_CODE_USE_BEDROCK: "1",
    };
    expect(buildEnvironment({ host: rich })).toMatchObject({ ANTHROPIC_AUTH_TOKEN: "host-token" });
    const built = buildEnvironment({
      host: rich,
      inheritEnv: true,
      apiKey: "sk-own",
      env: { CLAUDE_CODE_OAUTH_TOKEN: "own" },
    });
    expect(built).not.toHaveProperty("ANTHROPIC_AUTH_TOKEN");
    expect(built).not.toHaveProperty("CLAUDE_CODE_USE_BEDROCK");
    expect(built["CLAUDE_CODE_OAUTH_TOKEN"]).toBe("own");
  });

  it("leaves out what is undefined in `env`", () => {
    const built = buildEnvironment({
      host,
      env: { ANTHROPIC_API_KEY: undefined, HOME: undefined, NEVER: undefined },
    });
    expect(built).not.toHaveProperty("ANTHROPIC_API_KEY");
    expect(built).not.toHaveProperty("HOME");
    expect(built).not.toHaveProperty("NEVER");
    expect(built["PATH"]).toBe("/bin");
  });

  it("does not change the host's environment", () => {
    const before = { ...host };
    buildEnvironment({ host, inheritEnv: true, apiKey: "k", env: { PATH: undefined } });
    expect(host).toEqual(before);
  });
});
