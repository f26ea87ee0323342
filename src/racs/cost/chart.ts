/**
 * The comparison as an SVG drawing: what the archive has cost so far, and what leaving one provider would cost, month
 * by month, one line a layout. Colours are Okabe and Ito's, which colour-blind readers can tell apart.
 */

import type { LayoutCost } from './model.ts';

const colours = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];
const width = 860;
const panelHeight = 250;
const left = 80;
const right = 190;
const plotWidth = width - left - right;

interface Panel {
  title: string;
  top: number;
  series: { name: string; values: readonly number[] }[];
}

export function costChart(costs: readonly LayoutCost[], title: string): string {
  const panels: Panel[] = [
    { title: 'paid so far, dollars', top: 60, series: costs.map((cost) => ({ name: cost.layout.name, values: runningTotal(cost) })) },
    {
      title: 'to leave one provider now, dollars',
      top: 60 + panelHeight + 70,
      series: costs.map((cost) => ({ name: cost.layout.name, values: cost.months.map(({ switching }) => switching.worst) })),
    },
  ];
  const height = 60 + 2 * (panelHeight + 70);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="28" font-size="17">${escapeXml(title)}</text>`,
    ...panels.flatMap((panel) => drawPanel(panel, costs[0]!.months.length)),
    '</svg>',
    '',
  ].join('\n');
}

function drawPanel({ title, top, series }: Panel, months: number): string[] {
  const step = niceStep(Math.max(...series.flatMap(({ values }) => values), 1) / 5);
  const most = step * Math.max(1, Math.ceil(Math.max(...series.flatMap(({ values }) => values)) / step));
  const x = (i: number): string => (left + (plotWidth * (i + 1)) / months).toFixed(1);
  const y = (value: number): string => (top + panelHeight - (panelHeight * value) / most).toFixed(1);
  const grid = Array.from({ length: Math.round(most / step) + 1 }, (_, i) => i * step).flatMap((value) => [
    `<line x1="${left}" y1="${y(value)}" x2="${left + plotWidth}" y2="${y(value)}" stroke="#ddd"/>`,
    `<text x="${left - 8}" y="${y(value)}" text-anchor="end" dominant-baseline="middle">${label(value)}</text>`,
  ]);
  const every = Math.ceil(months / 12);
  const ticks = Array.from({ length: months }, (_, i) => i)
    .filter((i) => (i + 1) % every === 0)
    .map((i) => `<text x="${x(i)}" y="${top + panelHeight + 18}" text-anchor="middle">${i + 1}</text>`);
  const lines = series.flatMap(({ name, values }, i) => {
    const colour = colours[i % colours.length]!;
    const points = values.map((value, month) => `${x(month)},${y(value)}`).join(' ');
    const keyY = top + 14 + 20 * i;
    return [
      `<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      `<rect x="${left + plotWidth + 16}" y="${keyY - 6}" width="12" height="12" fill="${colour}"/>`,
      `<text x="${left + plotWidth + 34}" y="${keyY}" dominant-baseline="middle">${escapeXml(name)}</text>`,
    ];
  });
  return [
    `<text x="${left}" y="${top - 8}">${title}</text>`,
    ...grid,
    ...ticks,
    `<text x="${left + plotWidth}" y="${top + panelHeight + 36}" text-anchor="end">month</text>`,
    ...lines,
  ];
}

function runningTotal({ months }: LayoutCost): number[] {
  let sum = 0;
  return months.map(({ bill }) => {
    sum += bill.total;
    return sum;
  });
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999) ?? 10 * power;
}

function label(value: number): string {
  return value >= 1000 ? `${Number((value / 1000).toPrecision(4))}k` : String(Number(value.toPrecision(4)));
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}
