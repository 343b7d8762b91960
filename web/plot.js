// Plots, by uPlot (web/vendor): fetched when the first one is drawn, since most pages have none.
import {el} from "./dom.js";

const HEIGHT = 240, WIDTH_LEAST = 240;
// As many as there are reasons to be paid; each stands out from its neighbours for those who see colours otherwise, too.
const COLOURS = {light: ["#17604f", "#d08a2e", "#3b5bb5", "#a04a86", "#7d8a2c", "#5b5f66", "#b4421a"],
                 dark: ["#7fcfb6", "#e8b765", "#93abf0", "#d79bdb", "#cfd474", "#b3b9c0", "#f09a78"]};

let loaded;

function load() {
    loaded ??= new Promise((resolve, reject) => {
        document.head.append(el("link", {rel: "stylesheet", href: "/web/vendor/uPlot/uPlot.min.css"}));
        document.head.append(el("script", {src: "/web/vendor/uPlot/uPlot.iife.min.js", onload: () => resolve(globalThis.uPlot),
                                           onerror: () => { loaded = undefined; reject(new Error("the plot's script could not be loaded: try again")); }}));
    });
    return loaded;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const number = (v) => v === 0 ? "0" : Number(v.toPrecision(3)).toString();

// Each on top of those before it; drawn from the tallest, so that the others cover it.
function stack(lines) {
    const sums = lines[0].values.map(() => 0);
    return lines.map((line) => line.values.map((v, i) => (sums[i] += v))).reverse();
}

// lines: [{name, values}], one value for each of `times` (seconds, days apart). As wide as its place, for as long as the page is
// shown; `says` is what it shows, for those who cannot see it.
export async function bars(view, at, times, lines, says) {
    const uPlot = await load();
    if (view.signal.aborted)
        return;
    const dark = matchMedia("(prefers-color-scheme: dark)"), box = el("div", {class: "plot", role: "img", "aria-label": says});
    const data = [times, ...stack(lines)], named = [...lines].reverse(), width = () => Math.max(WIDTH_LEAST, box.clientWidth);
    let chart;
    const draw = () => {
        const paint = COLOURS[dark.matches ? "dark" : "light"], axis = {stroke: colour("--soft"), grid: {stroke: colour("--line"), width: 1}, ticks: {show: false}};
        chart?.destroy();
        chart = new uPlot({
            width: width(), height: HEIGHT, cursor: {drag: {x: false, y: false}}, tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
            scales: {x: {range: (u, low, high) => [low - 43200, high + 43200]}, y: {range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1]}},
            axes: [{...axis, grid: {show: false}, values: "{YYYY}-{MM}-{DD}", space: 90}, {...axis, size: 64, values: (u, ticks) => ticks.map(number)}],
            series: [{label: "Day", value: "{YYYY}-{MM}-{DD}"}, ...named.map((line, i) => {
                const c = paint[(lines.length - 1 - i) % paint.length];
                return {label: line.name, stroke: c, fill: c, width: 0, paths: uPlot.paths.bars({size: [0.7, 60]}), points: {show: false},
                        value: (u, v, series, at_day) => at_day === null ? "–" : `${number(line.values[at_day])} KITH`};
            })],
        }, data, box);
    };
    at.replaceChildren(box);
    draw();
    const watch = new ResizeObserver(() => chart.setSize({width: width(), height: HEIGHT}));
    watch.observe(box);
    view.listen(dark, "change", draw);
    view.signal.addEventListener("abort", () => { watch.disconnect(); chart.destroy(); }, {once: true});
}
