import example
from flat import own_view

from dosimeter.families.membership.section import adversary, lead, view
from dosimeter.results import words


def test_headline_attack_first_controls_and_refused_last():
    table = view.attacks(own_view(example.shown()))
    assert table.rows[0].headline
    assert [row.control for row in table.rows] == [False] * 4 + [True] * 2 + [False]
    assert table.rows[-1].refused
    assert table.scale == 0.2


def test_strip_holds_every_interval():
    for row in view.attacks(own_view(example.shown())).rows:
        if row.bar is not None:
            assert float(row.bar.left[:-1]) + float(row.bar.width[:-1]) <= 100


def test_one_remark_for_all_rows_stands_once():
    table = view.attacks(own_view(example.tiny()))
    assert "at least 299" in table.note
    assert all(row.tpr.note == "" for row in table.rows)


def test_ladder_falls_and_keeps_extra_rates():
    result = example.shown()
    result["estimates"].append({**result["estimates"][0], "fpr": 0.05, "fpr_reached": None})
    assert [rung.fpr for rung in view.ladder(own_view(result))] == [
        words.percent(f) for f in (0.1, 0.05, 0.01, 0.001, 0.0001)
    ]


def test_rows_of_groups_and_defenses_are_not_mistaken_for_the_headline():
    result = example.shown()
    decoys = [{**row, "group": "old", "value": 0.99} for row in result["estimates"]]
    decoys += [{**row, "variant": "dp", "value": 0.99} for row in result["estimates"]]
    truth = lead.box(own_view(result), "LiRA", "set beforehand")
    result["estimates"] = decoys + result["estimates"]
    assert lead.box(own_view(result), "LiRA", "set beforehand") == truth


def test_axes_begin_where_rates_are_resolvable():
    assert view.smallest_fpr(own_view(example.shown())) == 0.001
    assert view.smallest_fpr(own_view(example.tiny())) is None


def test_drawn_are_headline_two_others_and_one_control():
    assert [attack["id"] for attack in view.plotted_attacks(own_view(example.shown()))] == [
        "lira-online",
        "rmia",
        "attack-p",
        "constant",
    ]
    result = example.shown()
    del result["curves"]["lira-online"]
    assert view.plotted_attacks(own_view(result)) == []


def test_wrong_accusations_turn_the_interval_round():
    wager = view.wagers(own_view(example.shown()))[0]
    low, high = wager.ends.replace("\xa0%", "").split(" to ")
    assert float(low) < float(high)


def test_facts_name_every_part_of_the_threat_model():
    text = " ".join(sentence for _, sentence in adversary.facts(own_view(example.shown()))).replace("\xa0", " ")
    for piece in (
        "this photo",
        "“finetune”",
        "probability of every class",
        "16 shadow models",
        "500 records",
        "as it is, mirrored",
        "10,000 candidates",
        "812 persons",
        "8 targets",
    ):
        assert piece in text
