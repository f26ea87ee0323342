/** Just enough XML for the answers of object stores: elements with text, entities, no attributes kept, no DTD. */

export interface XmlElement {
  /** Without its name-space prefix. */
  name: string;
  text: string;
  children: XmlElement[];
}

/** The root element. @throws {Error} when it is not well-formed */
export function parseXml(text: string): XmlElement {
  const root: XmlElement = { name: '', text: '', children: [] };
  const open = [root];
  const token =
    /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([^\s>]+)\s*>|<([^\s/>]+)((?:[^>"']|"[^"]*"|'[^']*')*?)(\/?)>|([^<]+)/gy;
  let at = 0;
  for (let match = token.exec(text); match; match = token.exec(text)) {
    at = token.lastIndex;
    const [, cdata, closed, opened, , empty, chars] = match;
    const top = open.at(-1)!;
    if (cdata !== undefined) top.text += cdata;
    else if (chars !== undefined) top.text += decodeEntities(chars);
    else if (opened !== undefined) {
      const element = { name: localName(opened), text: '', children: [] };
      top.children.push(element);
      if (!empty) open.push(element);
    } else if (closed !== undefined && (open.length < 2 || open.pop()!.name !== localName(closed)))
      throw new Error(`XML: unexpected </${closed}>`);
  }
  if (at !== text.length || open.length !== 1 || root.children.length !== 1) throw new Error('XML: not well-formed');
  return root.children[0]!;
}

export const child = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  element?.children.find((c) => c.name === name);

export const childText = (element: XmlElement | undefined, name: string): string | undefined => child(element, name)?.text;

/** All elements of that name below, in order. */
export function descendants(element: XmlElement, name: string): XmlElement[] {
  return element.children.flatMap((c) => (c.name === name ? [c] : descendants(c, name)));
}

const localName = (name: string): string => name.slice(name.indexOf(':') + 1);

const entities: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex: string, decimal: string, name: string) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return entities[name] ?? whole;
  });
}
