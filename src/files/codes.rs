//! Codes of places that rules name: continents, countries, subdivisions, autonomous systems.

use super::document::Value;
use super::issue::Issue;
use super::words::{listed, shown};
use crate::geo::place::{Continent, Country, Subdivision};

/// The officially assigned ISO 3166-1 alpha-2 codes, and `XK` (Kosovo), which GeoIP databases use.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ \
BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES \
ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO \
IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK \
ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR \
PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK \
TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// Codes that people write, and those that they mean.
const MISTAKEN: [(&str, &str); 4] = [("UK", "GB"), ("EL", "GR"), ("EN", "GB"), ("JA", "JP")];

/// A continent's two-letter code.
pub fn continent(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Continent> {
    let text = value.text(issues)?;
    let continent = Continent::parse(text);
    if continent.is_none() {
        let codes: Vec<&str> = Continent::ALL.into_iter().map(Continent::code).collect();
        let issue = Issue::error(value.at.clone(), format!("no continent has the code `{}`", shown(text)));
        issues.push(issue.remedy(format!("there are {}", listed(&codes, "and"))));
    }
    continent
}

/// A country's two-letter code, which must be assigned.
pub fn country(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Country> {
    let text = value.text(issues)?;
    let country = Country::parse(text).filter(|country| is_assigned(*country));
    if country.is_none() {
        issues.push(unassigned(value, text));
    }
    country
}

/// A subdivision's code, `US-CA`, of an assigned country.
pub fn subdivision(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<Subdivision> {
    let text = value.text(issues)?;
    let Some(subdivision) = Subdivision::parse(text) else {
        let issue =
            Issue::error(value.at.clone(), format!("`{}` is not the code of a subdivision", shown(text)));
        issues.push(issue.remedy("ISO 3166-2, with its country: `US-CA`"));
        return None;
    };
    if !is_assigned(subdivision.country()) {
        issues.push(unassigned(value, subdivision.country().code()));
        return None;
    }
    Some(subdivision)
}

/// An autonomous system's number.
pub fn asn(value: &Value<'_>, issues: &mut Vec<Issue>) -> Option<u32> {
    let digits = value.as_text().map(|text| text.trim_start_matches(['A', 'S', 'a', 's']));
    if let Some(number) = digits.and_then(|digits| digits.parse::<u32>().ok()) {
        issues.push(value.unfit("an integer").remedy(format!("write `{number}`, without quotes")));
        return None;
    }
    value.whole(1..=i64::from(u32::MAX), issues).and_then(|asn| asn.try_into().ok())
}

fn is_assigned(country: Country) -> bool {
    COUNTRIES.split(' ').any(|code| code == country.code())
}

fn unassigned(value: &Value<'_>, text: &str) -> Issue {
    let issue = Issue::error(value.at.clone(), format!("no country has the code `{}`", shown(text)));
    match MISTAKEN.iter().find(|(written, _)| written.eq_ignore_ascii_case(text)) {
        Some((_, meant)) => issue.remedy(format!("its code is `{meant}`")),
        None => issue.remedy("two letters, as in ISO 3166-1: `ID`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_countries_are_those_of_iso_3166() {
        assert_eq!(COUNTRIES.split(' ').count(), 250);
        assert!(COUNTRIES.split(' ').is_sorted());
        assert!(is_assigned(Country::parse("id").unwrap()) && !is_assigned(Country::parse("UK").unwrap()));
        assert!(MISTAKEN.iter().all(|(_, meant)| is_assigned(Country::parse(meant).unwrap())));
    }
}
