/**
 * The tree of nodes as a persistent data structure: nodes never change, a change copies the nodes on its path. A
 * snapshot is therefore a reference to a root, and a transaction's commit is a three-way merge.
 *
 * `generation` changes with the node itself: value, permissions, or which children it has. `version` changes with
 * anything at or below the node; equal versions mean equal subtrees, also after a restore from a save stream.
 * Both come from the store's one counter, so two changes never share a number.
 */

import { assert } from '../base/errors.ts';
import type { Path } from './path.ts';
import type { Permissions } from './permissions.ts';

export interface Node {
  readonly value: Uint8Array;
  readonly permissions: Permissions;
  /** In the order of creation, which DIRECTORY shows. */
  readonly children: ReadonlyMap<string, Node>;
  readonly generation: number;
  readonly version: number;
}

export function newNode(permissions: Permissions, value: Uint8Array, generation: number): Node {
  return { value, permissions, children: new Map(), generation, version: generation };
}

export function lookup(root: Node, path: Path): Node | undefined {
  let node: Node | undefined = root;
  for (const name of path) {
    node = node.children.get(name);
    if (node === undefined) return undefined;
  }
  return node;
}

/** The deepest node on the path that exists, with the number of names that lead to it. */
export function nearest(root: Node, path: Path): { node: Node; depth: number } {
  let node = root;
  for (let depth = 0; depth < path.length; depth++) {
    const child = node.children.get(path[depth] as string);
    if (child === undefined) return { node, depth };
    node = child;
  }
  return { node, depth: path.length };
}

/** Changes value or permissions of a node that exists. */
export function replaceNode(root: Node, path: Path, change: { value?: Uint8Array; permissions?: Permissions }, generation: number): Node {
  return along(root, path, generation, (node) => ({ ...node, ...change, generation, version: generation }));
}

/** Adds a child below a parent that exists; the parent's list of children changes with it. */
export function addChild(root: Node, parent: Path, name: string, child: Node, generation: number): Node {
  return along(root, parent, generation, (node) => {
    assert(!node.children.has(name), () => `node ${name} exists below /${parent.join('/')}`);
    return { ...node, children: new Map(node.children).set(name, child), generation, version: generation };
  });
}

/** Takes a node that exists, and all below it, away. */
export function removeNode(root: Node, path: Path, generation: number): Node {
  return along(root, path.slice(0, -1), generation, (node) => {
    const children = new Map(node.children);
    children.delete(path.at(-1) as string);
    return { ...node, children, generation, version: generation };
  });
}

function along(node: Node, path: Path, version: number, change: (node: Node) => Node): Node {
  const [name, ...rest] = path;
  if (name === undefined) return change(node);
  const child = node.children.get(name);
  assert(child !== undefined, () => `no node ${path.join('/')}`);
  // Setting a key that exists keeps its place in the order.
  return { ...node, children: new Map(node.children).set(name, along(child, rest, version, change)), version };
}

/** Calls back for the node and everything below it, parents first. */
export function walk(node: Node, path: Path, visit: (node: Node, path: Path) => void): void {
  visit(node, path);
  for (const [name, child] of node.children) walk(child, [...path, name], visit);
}

/**
 * Joins what happened in `mine` and in `theirs` since both were `base`. The caller has made sure that no node changed in
 * both: then a node's own fields come from the side that changed them.
 */
export function mergeTrees(base: Node, mine: Node, theirs: Node, version: number): Node {
  if (mine.version === base.version) return theirs;
  if (theirs.version === base.version) return mine;
  const own = mine.generation === base.generation ? theirs : mine;
  const children = new Map<string, Node>();
  // `own` knows which children there are, and their order.
  for (const name of own.children.keys()) {
    const [inBase, inMine, inTheirs] = [base.children.get(name), mine.children.get(name), theirs.children.get(name)];
    if (inBase !== undefined && inMine !== undefined && inTheirs !== undefined) {
      children.set(name, mergeTrees(inBase, inMine, inTheirs, version));
    } else {
      // Created on the side whose list of children counts; the other side cannot have it.
      children.set(name, own.children.get(name) as Node);
    }
  }
  return { value: own.value, permissions: own.permissions, children, generation: own.generation, version };
}
