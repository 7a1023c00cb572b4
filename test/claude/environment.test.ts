import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildEnvironment } from "../../src/claude/environment.ts";
import { REFUSED_VARIABLES } from "../../src/claude/inherited-variables.ts";

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
  it("passes paths, locale, proxies in both cases, certificates and Claude Code's variables, and nothing else", () => {
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

  it("keeps values and the case of names", () => {
    const built = buildEnvironment({ host: { Path: "C:\\Windows", SystemRoot: "C:\\", http_proxy: "p" } });
    expect(built).toEqual({ Path: "C:\\Windows", SystemRoot: "C:\\", http_proxy: "p" });
  });

  it("inherits all defined variables with `true`", () => {
    const { UNSET: _, ...set } = host;
    expect(buildEnvironment({ host, inheritEnv: true })).toEqual(set);
  });

  it.each<[boolean | readonly string[] | undefined]>([[false], [undefined], [[]]])(
    "inherits nothing more with %j",
    (inheritEnv) => {
      expect(buildEnvironment({ host, inheritEnv })).toEqual(buildEnvironment({ host }));
    },
  );

  it("adds names and prefixes to the allow-list, in any case", () => {
    const added = (inheritEnv: string[]): string[] =>
      Object.keys(buildEnvironment({ host, inheritEnv })).filter((name) => !(name in buildEnvironment({ host })));
    expect(added(["AWS_*"])).toEqual(["AWS_SECRET_ACCESS_KEY", "AWS_REGION"]);
    expect(added(["AWS_REGION", "github_token"])).toEqual(["AWS_REGION", "GITHUB_TOKEN"]);
    expect(added(["AWS", "DATABASE"])).toEqual([]);
  });

  it("prefers `env` to the host, and `apiKey` to both", () => {
    expect(buildEnvironment({ host, apiKey: "sk-own" })["ANTHROPIC_API_KEY"]).toBe("sk-own");
    const env = { ANTHROPIC_API_KEY: "sk-env", EXTRA: "yes", EMPTY: "" };
    expect(buildEnvironment({ host, env })).toMatchObject(env);
    expect(buildEnvironment({ host, apiKey: "sk-own", env })).toMatchObject({ ...env, ANTHROPIC_API_KEY: "sk-own" });
  });

  it("drops the host's credentials when the session has a key, because Claude Code would send both", () => {
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

  describe("with `apiKey`", () => {
    const names = [
      ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_PROFILE", "ANTHROPIC_FEDERATION_RULE_ID"],
      ["CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_EXTRA_BODY", "ANTHROPIC_IDENTITY_TOKEN"],
      ["CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY", "ANTHROPIC_FOUNDRY_API_KEY"],
      ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE"],
      ["GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "aws_secret_access_key"],
    ].flat();
    const credentials = Object.fromEntries(names.map((name) => [name, "host's"]));
    const others = { AWS_REGION: "eu-west-1", ANTHROPIC_BASE_URL: "http://gateway", CLAUDE_CODE_CLIENT_CERT: "/cert" };

    it.each<[boolean | readonly string[]]>([[false], [true], [["AWS_*", "ANTHROPIC_*", "CLAUDE_*", "*"]]])(
      "drops all credentials of the host, with `inheritEnv` %j",
      (inheritEnv) => {
        const built = buildEnvironment({ host: { ...credentials, ...others }, inheritEnv, apiKey: "sk-own" });
        expect(Object.keys(built).filter((name) => name in credentials)).toEqual([]);
        expect(built).toMatchObject({ ANTHROPIC_API_KEY: "sk-own", ANTHROPIC_BASE_URL: "http://gateway" });
        expect("AWS_REGION" in built).toBe(inheritEnv !== false);
      },
    );

    it.each(names)("keeps %s if `inheritEnv` names it in full, or `env` has it", (name) => {
      const named = buildEnvironment({ host: credentials, inheritEnv: [name.toLowerCase()], apiKey: "sk-own" });
      expect(named).toHaveProperty(name, "host's");
      const given = buildEnvironment({ host: credentials, env: { [name]: "own" }, apiKey: "sk-own" });
      expect(given).toHaveProperty(name, "own");
    });

    it("keeps the host's credentials that Claude Code reads without `apiKey`", () => {
      const inherited = names.filter((name) => !/^(aws|google|azure)/i.test(name));
      expect(Object.keys(buildEnvironment({ host: credentials })).toSorted()).toEqual(inherited.toSorted());
    });
  });

  describe("inside another Claude Code", () => {
    // Variables that it sets for its commands, hooks and sessions.
    const SURROUNDING = [
      ["CLAUDECODE", "CLAUDE_PROJECT_DIR", "CLAUDE_ENV_FILE", "CLAUDE_PID", "CLAUDE_EFFORT", "CLAUDE_JOB_DIR"],
      ["CLAUDE_CODE_SSE_PORT", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_EXECPATH", "CLAUDE_CODE_SESSION_ID"],
      ["CLAUDE_CODE_CHILD_SESSION", "CLAUDE_CODE_MESSAGING_SOCKET", "CLAUDE_CODE_MESSAGING_TOKEN"],
      ["CLAUDE_CODE_SKIP_PROMPT_HISTORY", "CLAUDE_CODE_EXIT_AFTER_STOP_DELAY", "CLAUDE_CODE_RESUME_INTERRUPTED_TURN"],
      ["CLAUDE_CODE_REMOTE", "CLAUDE_CODE_REMOTE_SESSION_ID", "CLAUDE_CODE_SIMPLE", "CLAUDE_CODE_TASK_LIST_ID"],
      [
        "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
        "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST",
        "CLAUDE_CODE_HOST_CREDS_FILE",
      ],
      ["CLAUDE_COWORK_MEMORY_PATH_OVERRIDE", "CLAUDE_MEMORY_STORES", "CLAUDE_CODE_PROJECT_DIR_NAME"],
      ["CLAUDE_RUNNER_SESSION_ID", "CLAUDE_BG_SESSION_CREDENTIAL", "CLAUDE_PLUGIN_ROOT", "CLAUDE_AGENT_SDK_VERSION"],
      ["ANTHROPIC_UNIX_SOCKET", "ANTHROPIC_WORK_SECRET", "ANTHROPIC_WEBHOOK_SIGNING_KEY", "ANTHROPIC_ADMIN_KEY"],
    ].flat();
    const surrounded = { ...host, ...Object.fromEntries(SURROUNDING.map((name) => [name, "1"])) };

    it("drops its variables", () => {
      expect(buildEnvironment({ host: surrounded })).toEqual(buildEnvironment({ host }));
    });

    it.each(SURROUNDING.filter((name) => !(name in REFUSED_VARIABLES)))("keeps %s if it is named", (name) => {
      expect(buildEnvironment({ host: surrounded, inheritEnv: [name] })).toHaveProperty(name, "1");
      expect(buildEnvironment({ host: surrounded, inheritEnv: true })).toHaveProperty(name, "1");
      expect(buildEnvironment({ host, env: { [name]: "2" } })).toHaveProperty(name, "2");
    });

    it.each(Object.keys(REFUSED_VARIABLES))("never inherits %s", (name) => {
      for (const inheritEnv of [true, [name], [name.toLowerCase()], ["CLAUDE_*"], ["*"]]) {
        expect(buildEnvironment({ host: surrounded, inheritEnv })).not.toHaveProperty(name);
      }
    });
  });

  it("keeps Claude Code's configuration: addresses, models, limits and switches", () => {
    const configured = {
      CLAUDE_CONFIG_DIR: "/config",
      ANTHROPIC_MODEL: "m",
      ANTHROPIC_DEFAULT_OPUS_MODEL: "o",
      CLAUDE_CODE_SUBAGENT_MODEL: "s",
      ANTHROPIC_BEDROCK_BASE_URL: "http://bedrock",
      ANTHROPIC_VERTEX_PROJECT_ID: "p",
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: "9",
      CLAUDE_CODE_MAX_RETRIES: "2",
      API_TIMEOUT_MS: "1",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS: "1",
      DISABLE_TELEMETRY: "1",
      CLAUDE_CODE_SHELL_PREFIX: "/usr/bin/jail",
      CLAUDE_CODE_SUBPROCESS_ENV_SCRUB: "1",
    };
    expect(buildEnvironment({ host: configured })).toEqual(configured);
  });

  it("prefers implied variables to the host's, and `env` to both", () => {
    const built = buildEnvironment({
      host: { CLAUDE_CODE_DISABLE_CRON: "host", HOME: "/home", LANG: "C" },
      implied: { CLAUDE_CODE_DISABLE_CRON: "implied", HOME: undefined, IMPLIED: "1", OVER: "implied" },
      env: { OVER: "env" },
    });
    expect(built).toEqual({ CLAUDE_CODE_DISABLE_CRON: "implied", LANG: "C", IMPLIED: "1", OVER: "env" });
  });

  it("takes each variable from the host's listed ones or from `env` (property)", () => {
    const name = fc.constantFrom(
      "PATH",
      "A",
      "AWS_KEY",
      "AWS_PROFILE",
      "CLAUDE_X",
      "CLAUDE_CODE_OAUTH_TOKEN",
      "LC_ALL",
    );
    const values = fc.dictionary(name, fc.string());
    const listed = fc.array(fc.oneof(name, fc.constantFrom("AWS_*", "CLAUDE_*", "*")));
    const key = fc.option(fc.constant("sk-own"), { nil: undefined });
    fc.assert(
      fc.property(values, values, listed, key, (host, env, inheritEnv, apiKey) => {
        const built = buildEnvironment({ host, env, inheritEnv, apiKey });
        const { ANTHROPIC_API_KEY: own, ...rest } = built;
        expect(own).toBe(apiKey);
        for (const [variable, value] of Object.entries(rest)) expect(value).toBe({ ...host, ...env }[variable]);
        for (const variable of Object.keys(env)) expect(built).toHaveProperty([variable]);
        expect(Object.keys(buildEnvironment({ host, inheritEnv }))).toEqual(
          expect.arrayContaining(Object.keys(buildEnvironment({ host }))),
        );
      }),
    );
  });

  it("drops a variable that is undefined in `env`", () => {
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
