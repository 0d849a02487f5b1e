"""Grafana's classic dashboard model, schemaVersion 39: the few parts of it that our dashboards use.

A query is written with `{@}` where a selector belongs: it becomes `{job=~"$job", instance=~"$instance"}`, and
`{@, severity="high"}` the same with one matcher more, so that no query can forget which sensors were asked for.
"""

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
INFINITY = {"type": "yesoreyeram-infinity-datasource", "uid": "${api}"}
SENSORS = 'job=~"$job", instance=~"$instance"'
WIDTH = 24


def select(expr):
    """The query with its selectors filled in."""
    return " ".join(expr.split()).replace("{@", "{" + SENSORS)


def query(expr, legend="__auto", instant=False, table=False, heatmap=False):
    """One PromQL query; a panel gives it its letter."""
    return {
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": select(expr),
        "format": "heatmap" if heatmap else "table" if table else "time_series",
        "instant": instant,
        "range": not instant,
        "legendFormat": legend,
    }


def api(path, columns, params=(), form="table"):
    """One request of the sensor's API through Infinity; `columns` are (field, type) in the order they are shown."""
    return {
        "datasource": INFINITY,
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": form,
        "url": path,
        "url_options": {"method": "GET", "data": "", "params": [{"key": k, "value": v} for k, v in params]},
        "root_selector": "items",
        "columns": [{"selector": field, "text": field, "type": kind} for field, kind in columns],
        "filters": [],
    }


def panel(kind, title, description, queries, unit, options=None, w=8, h=8, **more):
    """Any panel. `more`: min, max, decimals, thresholds, mappings, custom, overrides, transformations, links, none."""
    defaults = {"unit": unit}
    for key in ("min", "max", "decimals", "mappings", "links"):
        if key in more:
            defaults[key] = more[key]
    defaults["thresholds"] = steps(*more.get("thresholds", ()))
    defaults["color"] = {"mode": more.get("color", "thresholds" if "thresholds" in more else "palette-classic")}
    if "none" in more:
        defaults["noValue"] = more["none"]
    if more.get("custom"):
        defaults["custom"] = more["custom"]
    made = {
        "type": kind,
        "title": title,
        "description": " ".join(description.split()),
        "datasource": dict(queries[0]["datasource"]),
        "targets": [dict(q, refId=chr(ord("A") + n)) for n, q in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])},
        "options": options or {},
        "gridPos": {"h": h, "w": w, "x": 0, "y": 0},
    }
    if "transformations" in more:
        made["transformations"] = more["transformations"]
    return made


def series(title, description, queries, unit, stacked=False, bars=False, points=False, **more):
    """Curves over time."""
    custom = {
        "drawStyle": "points" if points else "bars" if bars else "line",
        "fillOpacity": 60 if bars else 25 if stacked else 8,
        "lineWidth": 1,
        "pointSize": 7 if points else 4,
        "showPoints": "always" if points else "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if "thresholds" in more else "off"},
    }
    options = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    color = {"color": "palette-classic"} if "thresholds" in more else {}
    return panel("timeseries", title, description, queries, unit, options, custom=custom, **{**more, **color})


def stat(title, description, expr, unit, w=4, h=4, **more):
    """One number, as it is now."""
    options = {
        "colorMode": "background" if "thresholds" in more else "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    return panel("stat", title, description, [query(expr, instant=True)], unit, options, w=w, h=h, **more)


def bars(title, description, expr, legend, unit, **more):
    """One bar a series, as it is now."""
    options = {
        "displayMode": "gradient",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": True,
        "valueMode": "color",
        "namePlacement": "auto",
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
    }
    return panel("bargauge", title, description, [query(expr, legend, instant=True)], unit, options, **more)


def states(title, description, expr, legend, mappings, **more):
    """What state each series was in, over time."""
    options = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "mergeValues": True,
        "rowHeight": 0.8,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 70, "lineWidth": 0}
    return panel(
        "state-timeline", title, description, [query(expr, legend)], "none", options, mappings=mappings, custom=custom,
        thresholds=(("red", 0), ("green", 1)), **more)


def heat(title, description, expr, unit, **more):
    """A histogram over time: `expr` gives buckets by `le`."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "color": {
            "mode": "scheme", "scheme": "Oranges", "steps": 32, "reverse": False, "exponent": 0.5, "fill": "dark-orange",
        },
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "rowsFrame": {"layout": "auto"},
    }
    return panel("heatmap", title, description, [query(expr, "{{le}}", heatmap=True)], unit, options, **more)


def table(title, description, queries, unit="none", sort=None, **more):
    """Rows and columns; `sort` is a column, largest first."""
    options = {
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False},
        "showHeader": True,
        "frameIndex": 0,
        "sortBy": [{"displayName": sort, "desc": True}] if sort else [],
    }
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False}
    return panel("table", title, description, queries, unit, options, custom=custom, **more)


def matrix(title, description, expr, row, column, unit, **more):
    """Two labels against each other: `row` down, `column` across, coloured by value."""
    transformations = [
        {"id": "groupingToMatrix", "options": {"columnField": column, "rowField": row, "valueField": "Value"}},
    ]
    made = table(
        title, description, [query(expr, instant=True, table=True)], unit, color="continuous-BlYlRd",
        transformations=transformations, **more)
    made["fieldConfig"]["defaults"]["custom"]["cellOptions"] = {"type": "color-background", "mode": "gradient"}
    return made


def graph(title, description, nodes, edges, **more):
    """Nodes and edges."""
    options = {
        "nodes": {"mainStatUnit": "none", "secondaryStatUnit": "bytes", "arcs": []},
        "edges": {"mainStatUnit": "bytes", "secondaryStatUnit": "none"},
        "zoomMode": "cooperative",
    }
    return panel("nodeGraph", title, description, [nodes, edges], "none", options, **more)


def steps(*colours):
    """Thresholds: (colour, from which value on); the first has no lower end."""
    colours = colours or (("green", None),)
    return {
        "mode": "absolute",
        "steps": [{"color": c, "value": None if n == 0 else v} for n, (c, v) in enumerate(colours)],
    }


def named(*texts):
    """Value → (text, colour)."""
    options = {str(value): {"text": text, "color": colour, "index": n} for n, (value, text, colour) in enumerate(texts)}
    return [{"type": "value", "options": options}]


def field(name, **settings):
    """Another unit, name or look for one column: unit, displayName, custom.width, …"""
    properties = [{"id": key.replace("__", "."), "value": value} for key, value in settings.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def choice(name, label, metric, by):
    """A variable whose values are those that one label of a metric has. `All` of what the API is asked for too is the
    list of them, since the API knows no regular expressions."""
    text = f'label_values({metric}{{{SENSORS}}}, {by})' if name not in ("job", "instance") else {
        "job": f"label_values({metric}, job)",
        "instance": f'label_values({metric}{{job=~"$job"}}, instance)',
    }[name]
    made = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": text, "refId": f"variable-{name}"},
        "definition": text,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "regex": "",
        "options": [],
    }
    return made if name in ("detector", "severity") else {**made, "allValue": ".+"}


def source(name, label, plugin):
    """A variable that chooses a data source."""
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "query": plugin,
        "current": {"selected": False, "text": "default", "value": "default"},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
    }


def dashboard(uid, title, description, rows, variables=(), with_api=False, since="now-6h", annotations=()):
    """A whole dashboard. Rows are (question, panels) or (question, panels, "closed")."""
    listed = [source("datasource", "Prometheus", "prometheus")]
    if with_api:
        listed.append(source("api", "Sensor API", INFINITY["type"]))
    listed += [choice("job", "Job", "yukue_build_info", "job"), choice("instance", "Sensor", "yukue_build_info", "instance")]
    return {
        "uid": f"yukue-{uid}",
        "title": f"yukue / {title}",
        "description": " ".join(description.split()),
        "tags": ["yukue"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": since, "to": "now"},
        "refresh": "1m",
        "fiscalYearStartMonth": 0,
        "templating": {"list": listed + list(variables)},
        "annotations": {"list": [reloads(), *annotations]},
        "links": [{
            "title": "yukue", "type": "dashboards", "icon": "external link", "tooltip": "The other dashboards",
            "tags": ["yukue"], "asDropdown": True, "targetBlank": False, "includeVars": True, "keepTime": True,
        }],
        "panels": laid_out(rows),
    }


def reloads():
    """A mark where the configuration was read again."""
    expr = "changes(yukue_config_last_reload_success_timestamp_seconds{@}[$__rate_interval]) > 0"
    return {
        "name": "Configuration reloads",
        "datasource": PROMETHEUS,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": select(expr),
        "titleFormat": "configuration reloaded",
        "textFormat": "{{instance}}",
        "tagKeys": "instance",
        "step": "60s",
    }


def laid_out(rows):
    """Panels from left to right, line under line; those of a closed row lie inside it."""
    out, number, y = [], 0, 0
    for question, panels, *closed in rows:
        number += 1
        row = {"type": "row", "title": question, "id": number, "collapsed": bool(closed), "panels": [],
               "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}}
        out.append(row)
        y, x, tallest = y + 1, 0, 0
        for each in panels:
            number += 1
            place = each["gridPos"]
            if x + place["w"] > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            each.update(id=number, gridPos={**place, "x": x, "y": y})
            x, tallest = x + place["w"], max(tallest, place["h"])
            (row["panels"] if closed else out).append(each)
        y += tallest
    return out
