import { expect, test } from "vitest";
import { textOf } from "../../scripts/guide.ts";
import { OPENAPI_FILE, openApiText } from "../../scripts/reference/http-reference.ts";
import { OPERATIONS } from "../../src/server/native/operations.ts";
import { NativeScene } from "./native-scene.ts";

interface Described {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, DescribedOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

interface DescribedOperation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly responses: Readonly<Record<string, unknown>>;
}

// The file is JSON of this form, which the tests check.
const document = JSON.parse(textOf(OPENAPI_FILE)) as Described;

test("docs/openapi.json: matches the operations of the server", () => {
  // `npm run docs:sync` rewrites it.
  expect(textOf(OPENAPI_FILE)).toBe(openApiText());
});

test("docs/openapi.json: describes every operation once, with its parameters and answers", () => {
  expect(document.openapi).toBe("3.1.0");
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
  );
  expect(described.map(({ operationId }) => operationId).toSorted()).toEqual(OPERATIONS.map(({ id }) => id).toSorted());
  expect(new Set(OPERATIONS.map(({ id }) => id)).size).toBe(OPERATIONS.length);
  for (const { path, operationId, summary, parameters = [], responses } of described) {
    expect(summary, operationId).toMatch(/^[A-Z].*\.$/);
    const inPath = parameters.filter((parameter) => parameter.in === "path");
    expect(
      inPath.map(({ name }) => `{${name}}`),
      operationId,
    ).toEqual(path.match(/\{\w+\}/g) ?? []);
    expect(inPath.every(({ required }) => required)).toBe(true);
    expect(Object.keys(responses), operationId).toEqual([expect.stringMatching(/^20[0-2]$/), "default"]);
  }
});

test("docs/openapi.json: has every schema that it refers to, and no other", () => {
  const schemas = Object.keys(document.components.schemas);
  const referred = [...textOf(OPENAPI_FILE).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name);
  expect(schemas.toSorted()).toEqual([...new Set(referred)].toSorted());
});

test("/castellan/v1/openapi.json: is the checked-in description", async () => {
  await using scene = await NativeScene.start();
  expect(await (await scene.request("/openapi.json")).json()).toEqual(document);
});
