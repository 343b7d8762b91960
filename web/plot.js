// Plots, by uPlot (web/vendor): fetched when the first one is drawn, since most pages have none.
import {el} from "./dom.js";

let loaded;

function load() {
    loaded ??= new Promise((resolve, reject) => {
        document.head.append(el("link", {rel: "stylesheet", href: "/web/vendor/uPlot/uPlot.min.css"}));
        document.head.append(el("script", {src: "/web/vendor/uPlot/uPlot.iife.min.js", onload: () => resolve(globalThis.uPlot),
                                           onerror: () => { loaded = undefined; reject(new Error("the plot's script could not be loaded")); }}));
    });
    return loaded;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const COLOURS = {light: ["#17604f", "#b4621a", "#3b5bb5", "#8a3f8f", "#6d6a1c"], dark: ["#7fcfb6", "#e8a765", "#93abf0", "#d79bdb", "#cfcb74"]};

// lines: [{name, values}], one value for each of `times` (seconds). As wide as its place, for as long as the page is shown;
// `says` is what it shows, for those who cannot see it.
export async function plot(view, at, times, lines, show, says) {
    const uPlot = await load();
    if (view.signal.aborted)
        return;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const box = el("div", {class: "plot", role: "img", "aria-label": says});
    let chart;
    const draw = () => {
        const paint = COLOURS[dark.matches ? "dark" : "light"], axis = {stroke: colour("--soft"), grid: {stroke: colour("--line"), width: 1}, ticks: {show: false}};
        chart?.destroy();
        chart = new uPlot({
            width: Math.max(240, box.clientWidth), height: 240, cursor: {drag: {x: false, y: false}}, scales: {y: {range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1]}},
            axes: [{...axis}, {...axis, size: 64, values: (u, ticks) => ticks.map(show)}],
            series: [{}, ...lines.map((line, i) => ({label: line.name, stroke: paint[i % paint.length], width: 2, paths: uPlot.paths.stepped({align: 1}),
                                                     points: {show: false}, value: (u, v) => v === null ? "–" : show(v)}))],
        }, [times, ...lines.map((line) => line.values)], box);
    };
    at.replaceChildren(box);
    draw();
    const watch = new ResizeObserver(() => chart.setSize({width: Math.max(240, box.clientWidth), height: 240}));
    watch.observe(box);
    view.listen(dark, "change", draw);
    view.signal.addEventListener("abort", () => { watch.disconnect(); chart.destroy(); }, {once: true});
}
