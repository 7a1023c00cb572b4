import { DockerfileParser, type From, type JSONInstruction } from "dockerfile-ast";

/** What the last stage of a Dockerfile makes of an image: the settings of its containers. */
export interface ImageConfig {
  readonly from: string;
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string;
  readonly user: string;
  readonly volumes: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** The command of the health check, for a shell. */
  readonly healthcheck: string;
  readonly stopSignal: string;
  /** The commands that build the stage, for a shell. */
  readonly run: readonly string[];
}

/** Reads the last stage. @throws Error if it lacks an instruction of {@link ImageConfig} */
export function imageConfig(dockerfile: string): ImageConfig {
  const parsed = DockerfileParser.parse(dockerfile);
  const [last] = parsed.getFROMs().slice(-1) as From[];
  if (last === undefined) throw new Error("the Dockerfile has no FROM");
  const from = last.getRange().start.line;
  const instructions = parsed.getInstructions().filter((one) => one.getRange().start.line >= from);
  const all = (keyword: string) => instructions.filter((one) => one.getKeyword() === keyword);
  const only = (keyword: string): string => {
    const [one, ...more] = all(keyword);
    if (one === undefined || more.length > 0) throw new Error(`expected one ${keyword}`);
    return one.getArgumentsContent() ?? "";
  };
  const list = (keyword: string): string[] => {
    const [one] = all(keyword) as JSONInstruction[];
    const strings = one?.getJSONStrings().map((argument) => argument.getJSONValue()) ?? [];
    if (strings.length === 0) throw new Error(`expected ${keyword} with a list`);
    return strings;
  };
  const env = parsed
    .getENVs()
    .filter((one) => one.getRange().start.line >= from)
    .flatMap((one) => one.getProperties())
    .map((property) => [property.getName(), property.getValue() ?? ""] as const);
  return {
    from: last.getImage() ?? "",
    env: Object.fromEntries(env),
    workdir: only("WORKDIR"),
    user: only("USER"),
    volumes: list("VOLUME"),
    entrypoint: list("ENTRYPOINT"),
    cmd: list("CMD"),
    healthcheck: only("HEALTHCHECK").replace(/^.*?\bCMD\s+/s, ""),
    stopSignal: only("STOPSIGNAL"),
    run: all("RUN").map((one) => one.getArgumentsContent() ?? ""),
  };
}
