import { expect, it } from 'vitest';
import { hardwareCosts } from '../../../src/timing/hardware-costs.ts';
import { hypervisorCosts } from '../../../src/timing/hypervisor-costs.ts';
import { Cost, freeTable, Hardware, mmuUpdate, validateTable } from '../../../src/xen/pv/cost-rows.ts';

it('every row that the paravirtual paths charge is in the cost table', () => {
  const known = new Set([...hypervisorCosts, ...hardwareCosts].map(({ name }) => name));
  const charged = [...Object.values(Cost), ...Object.values(Hardware), ...validateTable, ...freeTable, ...mmuUpdate];
  expect(charged.filter((row) => row !== '' && !known.has(row))).toEqual([]);
});
