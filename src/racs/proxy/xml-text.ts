/** XML answers from nested lists: [name, text or children]. */

export type XmlNode = readonly [name: string, content: string | number | boolean | readonly XmlNode[]];

const nameSpace = 'http://s3.amazonaws.com/doc/2006-03-01/';

export function xmlDocument([name, content]: XmlNode, options: { plain?: boolean } = {}): string {
  const attribute = options.plain ? '' : ` xmlns="${nameSpace}"`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attribute}>${inner(content)}</${name}>`;
}

function inner(content: XmlNode[1]): string {
  if (typeof content !== 'object') return escapeXml(String(content));
  return content.map(([name, below]) => `<${name}>${inner(below)}</${name}>`).join('');
}

/** Characters that XML 1.0 cannot hold at all become question marks; clients that need them ask for encoding-type=url. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"\r]|[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, (c) => entities[c] ?? '?');
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\r': '&#13;' };
