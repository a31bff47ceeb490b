import ts from 'typescript';

/** Names at the top of a block, and whether they are values. */
export function declaredIn(file: ts.SourceFile): Map<string, boolean> {
  const names = new Map<string, boolean>();
  for (const statement of file.statements) {
    for (const name of namesOf(statement)) {
      names.set(name, !ts.isInterfaceDeclaration(statement) && !ts.isTypeAliasDeclaration(statement));
    }
    const clause = ts.isImportDeclaration(statement) ? statement.importClause : undefined;
    if (clause === undefined) continue;
    if (clause.name !== undefined) names.set(clause.name.text, false);
    const bindings = clause.namedBindings;
    if (bindings === undefined) continue;
    if (ts.isNamespaceImport(bindings)) names.set(bindings.name.text, false);
    else for (const { name } of bindings.elements) names.set(name.text, false);
  }
  return names;
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) => boundBy(name));
  }
  const isNamed =
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement);
  return isNamed && statement.name !== undefined ? [statement.name.text] : [];
}

const boundBy = (name: ts.BindingName): string[] =>
  ts.isIdentifier(name)
    ? [name.text]
    : name.elements.flatMap((element) => (ts.isOmittedExpression(element) ? [] : boundBy(element.name)));

/** Names that a statement exports. */
export function exportedBy(statement: ts.Statement): string[] {
  if (ts.isExportDeclaration(statement)) {
    const clause = statement.exportClause;
    return clause !== undefined && ts.isNamedExports(clause)
      ? clause.elements.map(({ name }) => name.text)
      : [];
  }
  const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ? namesOf(statement) : [];
}

/** Returns whether a name stands anywhere but after a point. */
export function mentions(file: ts.SourceFile, name: string): boolean {
  const look = (node: ts.Node): boolean => {
    if (ts.isIdentifier(node) && node.text === name) {
      const { parent } = node;
      const isProperty =
        (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
        (ts.isPropertyAssignment(parent) && parent.name === node) ||
        (ts.isBindingElement(parent) && parent.propertyName === node);
      if (!isProperty) return true;
    }
    return ts.forEachChild(node, look) ?? false;
  };
  return look(file);
}
