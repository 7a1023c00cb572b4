import ts from "typescript-6";
import { textOf } from "../guide.ts";

/** A member of an interface: an option, a field of an event, a detail of an error. */
export interface Member {
  readonly name: string;
  /** In TypeScript, on one line. */
  readonly type: string;
  readonly optional: boolean;
  /** The doc comment without its tags, on one line; empty if there is none. */
  readonly doc: string;
  readonly node: ts.TypeNode;
}

type Declaration = ts.InterfaceDeclaration | ts.TypeAliasDeclaration;

const printer = ts.createPrinter({ removeComments: true });

/** The interfaces and types that some files declare. Reads syntax only, so a type of another file is no more than its name. */
export class Declarations {
  readonly #declared: ReadonlyMap<string, Declaration>;

  constructor(...files: readonly string[]) {
    const sources = files.map((file) => ts.createSourceFile(file, textOf(file), ts.ScriptTarget.Latest, true));
    const declarations = sources.flatMap(({ statements }) => statements.filter(isDeclaration));
    this.#declared = new Map(declarations.map((declaration) => [declaration.name.text, declaration]));
  }

  /** The doc comment of a type. @throws Error if it has none */
  docOf(name: string): string {
    const doc = docOf(this.#declaration(name));
    if (doc === "") throw new Error(`${name} has no doc comment`);
    return doc;
  }

  /** The members of a type, those that it inherits first. @throws Error if no file declares it */
  membersOf(name: string): Member[] {
    const declaration = this.#declaration(name);
    if (ts.isTypeAliasDeclaration(declaration)) return this.membersIn(declaration.type);
    const inherited = (declaration.heritageClauses ?? [])
      .flatMap(({ types }) => types)
      .flatMap(({ expression }) =>
        this.#declared.has(expression.getText()) ? this.membersOf(expression.getText()) : [],
      );
    return [...inherited, ...declaration.members.flatMap(memberOf)];
  }

  /** The members of an object type: those of a literal, of an intersection's parts, of a type that a file declares; else none. */
  membersIn(node: ts.TypeNode): Member[] {
    if (ts.isParenthesizedTypeNode(node)) return this.membersIn(node.type);
    if (ts.isIntersectionTypeNode(node)) return node.types.flatMap((part) => this.membersIn(part));
    if (ts.isTypeLiteralNode(node)) return node.members.flatMap(memberOf);
    if (ts.isTypeReferenceNode(node) && this.#declared.has(node.typeName.getText())) {
      return this.membersOf(node.typeName.getText());
    }
    return [];
  }

  #declaration(name: string): Declaration {
    const declaration = this.#declared.get(name);
    if (declaration === undefined) throw new Error(`there is no type ${name}; correct scripts/reference`);
    return declaration;
  }
}

function isDeclaration(statement: ts.Statement): statement is Declaration {
  return ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement);
}

function memberOf(member: ts.TypeElement): Member[] {
  if (member.name === undefined) return [];
  const name = ts.isStringLiteral(member.name) ? member.name.text : member.name.getText();
  const about = { name, optional: member.questionToken !== undefined, doc: docOf(member) };
  if (ts.isPropertySignature(member) && member.type !== undefined) {
    return [{ ...about, type: printed(member.type), node: member.type }];
  }
  if (ts.isMethodSignature(member) && member.type !== undefined) {
    const parameters = member.parameters.map((parameter) => printed(parameter)).join(", ");
    return [{ ...about, type: `(${parameters}) => ${printed(member.type)}`, node: member.type }];
  }
  return [];
}

function printed(node: ts.Node): string {
  return printer
    .printNode(ts.EmitHint.Unspecified, node, node.getSourceFile())
    .replaceAll(/\s+/g, " ")
    .replaceAll("readonly ", "")
    .replaceAll("; }", " }")
    .replace(/^\| /, "");
}

/** The last doc comment before a node: an earlier one is about the lines in between. */
function docOf(node: ts.Node): string {
  const doc = ts.getJSDocCommentsAndTags(node).findLast(ts.isJSDoc);
  return (ts.getTextOfJSDocComment(doc?.comment) ?? "")
    .replaceAll(/\s+/g, " ")
    .replaceAll(/\{@link (\S+?)\}/g, "`$1`")
    .trim();
}
