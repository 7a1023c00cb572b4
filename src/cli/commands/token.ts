import { Command, Option } from "commander";
import { withoutUndefined } from "../../fields.ts";
import type { SessionName } from "../../names.ts";
import type { Scope, TokenInfo, TokenStore } from "../../server/index.ts";
import { CliError } from "../terminal/cli-error.ts";
import { addLabel } from "../terminal/label-argument.ts";
import { nameArgument, parseLocalName } from "../terminal/name-argument.ts";
import { outputWidth } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";

interface FileOptions {
  readonly file: string;
  readonly json?: boolean;
}

interface CreateOptions extends FileOptions {
  readonly scope: Scope[];
  readonly prefix?: SessionName;
  readonly label?: Record<string, string>;
  readonly expires?: string;
  readonly note?: string;
}

const CREATE_HELP = `
Scopes: read (see sessions, turns and events), talk (send prompts, interrupt them), approve (answer permission requests), operate (create,
restart, stop, delete, drain). The token is shown once; the file keeps its hash.

Examples:
  $ castellan token create --scope read talk --prefix support --expires 30d --note "support team"
  $ export CASTELLAN_TOKEN=$(castellan token create --scope read talk approve operate --json | jq -r .token)
`;

/** The command `token`. */
export function tokenCommand(): Command {
  const command = new Command("token").description("create, list and revoke the tokens of a server");
  command
    .command("create")
    .description("create a token, and print it once")
    .addOption(
      new Option("--scope <scope...>", "what the token allows")
        .choices(["read", "talk", "approve", "operate"])
        .default(["read"], "read"),
    )
    .option("--prefix <name>", "only sessions whose names begin so", parseLocalName)
    .option("--label <name=value...>", "only sessions with these labels", addLabel)
    .option("--expires <duration>", "how long it is valid, such as 30d; default: until it is revoked")
    .option("--note <text>", "what it is for")
    .addOption(fileOption())
    .addOption(jsonOption())
    .addHelpText("after", CREATE_HELP)
    .action(create);
  command
    .command("list")
    .description("list the tokens, with those that are expired or revoked")
    .addOption(fileOption())
    .addOption(jsonOption())
    .action(list);
  command
    .command("revoke")
    .description("revoke a token; running servers follow within a second")
    .argument("<id>", "the id of the token, see `castellan token list`")
    .addOption(fileOption())
    .addOption(jsonOption())
    .action(revoke);
  return command;
}

function fileOption(): Option {
  return new Option("--file <path>", "the file of the tokens")
    .env("CASTELLAN_TOKENS")
    .default(".castellan/tokens.jsonl");
}

function jsonOption(): Option {
  return new Option("--json", "print JSON");
}

/** Loads the store on demand, so that the other commands start fast. */
async function storeAt(file: string): Promise<TokenStore> {
  const { TokenStore: Store } = await import("../../server/access/token-store.ts");
  return new Store(file);
}

async function create(options: CreateOptions): Promise<void> {
  const { scope: scopes, prefix, label: labels, expires: expiresIn, note } = options;
  const store = await storeAt(options.file);
  const { token, info } = await store.create(withoutUndefined({ scopes, prefix, labels, expiresIn, note }));
  if (options.json) return console.log(JSON.stringify({ token, ...info }));
  console.log(token);
  console.error(`Created ${info.id}. The token is not shown again.`);
}

async function list({ file, json }: FileOptions): Promise<void> {
  const tokens = await (await storeAt(file)).list();
  if (json) return console.log(JSON.stringify(tokens));
  if (tokens.length === 0) return console.error(`There are no tokens in ${file}.`);
  const rows = tokens.map((token) => {
    const { id, scopes, createdAt, note = "" } = token;
    return [id, scopes.join(" "), reachOf(token), stateOf(token, Date.now()), dateOf(createdAt), note];
  });
  console.log(table(COLUMNS, rows, outputWidth()));
}

const COLUMNS: readonly Column[] = [
  { head: "ID" },
  { head: "SCOPES" },
  { head: "REACH", least: 10 },
  { head: "STATE" },
  { head: "CREATED" },
  { head: "NOTE", least: 8 },
];

async function revoke(id: string, { file, json }: FileOptions): Promise<void> {
  const isKnown = await (await storeAt(file)).revoke(id);
  if (!isKnown) throw new CliError("NOT_FOUND", `There is no token ${id} in ${file}.`);
  console.log(json ? JSON.stringify({ revoked: id }) : `Revoked ${id}.`);
}

function reachOf({ prefix, labels = {} }: TokenInfo): string {
  const parts = [
    ...(prefix === undefined ? [] : [nameArgument(prefix)]),
    ...Object.entries(labels).map(([name, value]) => `${name}=${value}`),
  ];
  return parts.length === 0 ? "all" : parts.join(" ");
}

function stateOf({ expiresAt, revokedAt }: TokenInfo, now: number): string {
  if (revokedAt !== undefined) return "revoked";
  if (expiresAt === undefined) return "valid";
  return now < expiresAt ? `until ${dateOf(expiresAt)}` : "expired";
}

function dateOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
