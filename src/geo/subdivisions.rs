//! Points of the subdivisions (ISO 3166-2) of countries too wide for one point: AU, BR, CA, CN, IN, RU, US.
//!
//! A subdivision's point is its most populous city, in hundredths of a degree: where a client of whom no more is known
//! most likely is. (The centroid of Ontario is wilderness, 900 km from Toronto.) The coordinates and the numbers of people
//! (in 100,000; censuses of 2018 to 2023, rounded) are common knowledge, written by hand and from no one's table.

use std::collections::HashMap;

use super::place::{Country, Point, Subdivision};

/// One subdivision.
struct Row {
    code: &'static str,
    /// Its names in databases without codes, between semicolons; none where the code is one that ISO has replaced.
    names: &'static str,
    lat: f64,
    lon: f64,
    /// In 100,000; 0 where they are counted elsewhere.
    people: f64,
}

/// The point of a subdivision, where the table has it.
pub(super) fn point(subdivision: Subdivision) -> Option<Point> {
    let row = TABLE.iter().find(|row| Subdivision::parse(row.code) == Some(subdivision))?;
    Point::new(row.lat, row.lon)
}

/// The mean of a country's subdivisions, weighted by their people; `None` for a country that is not in the table.
pub(super) fn centre(country: Country) -> Option<Point> {
    let rows = || rows(country);
    let people: f64 = rows().map(|row| row.people).sum();
    let mean =
        |coordinate: fn(&Row) -> f64| rows().map(|row| row.people * coordinate(row)).sum::<f64>() / people;
    (people > 0.0).then(|| Point::new(mean(|row| row.lat), mean(|row| row.lon)))?
}

/// The names of subdivisions, as databases without codes write them.
pub(super) struct Names {
    by_name: HashMap<(Country, String), Subdivision>,
}

impl Names {
    /// Those of the table.
    pub(super) fn new() -> Names {
        let parsed = TABLE.iter().filter_map(|row| Some((Subdivision::parse(row.code)?, row.names)));
        let named = parsed.flat_map(|(subdivision, names)| {
            let names = names.split(';').map(|name| folded(name, &[])).filter(|name| !name.is_empty());
            names.map(move |name| ((subdivision.country(), name), subdivision))
        });
        Names { by_name: named.collect() }
    }

    /// The subdivision of that name.
    pub(super) fn find(&self, country: Country, name: &str) -> Option<Subdivision> {
        if name.is_empty() || !COUNTRIES.contains(&country.code()) {
            return None;
        }
        // `Moscow Oblast` is not `Moscow`, but `Omsk Oblast` is what others call `Omsk`.
        let find = |without| self.by_name.get(&(country, folded(name, without))).copied();
        find(&[]).or_else(|| find(&GENERIC))
    }
}

/// The countries of the table.
pub(super) const COUNTRIES: [&str; 7] = ["AU", "BR", "CA", "CN", "IN", "RU", "US"];

fn rows(country: Country) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.code.starts_with(country.code()))
}

/// Words that only some databases add to names.
const GENERIC: [&str; 3] = ["oblast", "republic", "of"];

/// Letters and digits alone, without accents, case and the words `without`.
fn folded(name: &str, without: &[&str]) -> String {
    let plain = |letter: char| match letter {
        'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
        'é' | 'è' | 'ê' => 'e',
        'í' | 'î' => 'i',
        'ó' | 'ô' | 'õ' | 'ö' => 'o',
        'ú' | 'ü' => 'u',
        'ç' => 'c',
        '’' => '\'',
        other => other,
    };
    let name: String =
        name.chars().flat_map(char::to_lowercase).map(plain).filter(|letter| *letter != '\'').collect();
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.filter(|word| !without.contains(word)).collect()
}

/// Shorthand for the table.
const fn row(code: &'static str, names: &'static str, lat: f64, lon: f64, people: f64) -> Row {
    Row { code, names, lat, lon, people }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row("AU-ACT", "Australian Capital Territory;ACT", -35.28, 149.13, 4.7),
    row("AU-NSW", "New South Wales", -33.87, 151.21, 84.0),
    row("AU-NT", "Northern Territory", -12.46, 130.84, 2.5),
    row("AU-QLD", "Queensland", -27.47, 153.03, 55.0),
    row("AU-SA", "South Australia", -34.93, 138.6, 18.5),
    row("AU-TAS", "Tasmania", -42.88, 147.33, 5.7),
    row("AU-VIC", "Victoria", -37.81, 144.96, 69.0),
    row("AU-WA", "Western Australia", -31.95, 115.86, 29.0),
    row("BR-AC", "Acre", -9.97, -67.81, 8.3),
    row("BR-AL", "Alagoas", -9.67, -35.74, 31.0),
    row("BR-AM", "Amazonas", -3.1, -60.02, 39.0),
    row("BR-AP", "Amapa", 0.03, -51.07, 7.3),
    row("BR-BA", "Bahia", -12.97, -38.5, 141.0),
    row("BR-CE", "Ceara", -3.73, -38.53, 88.0),
    row("BR-DF", "Distrito Federal;Federal District", -15.79, -47.88, 28.0),
    row("BR-ES", "Espirito Santo", -20.32, -40.34, 38.0),
    row("BR-GO", "Goias", -16.69, -49.25, 71.0),
    row("BR-MA", "Maranhao", -2.53, -44.3, 68.0),
    row("BR-MG", "Minas Gerais", -19.92, -43.94, 205.0),
    row("BR-MS", "Mato Grosso do Sul", -20.44, -54.65, 28.0),
    row("BR-MT", "Mato Grosso", -15.6, -56.1, 37.0),
    row("BR-PA", "Para", -1.46, -48.5, 81.0),
    row("BR-PB", "Paraiba", -7.12, -34.86, 40.0),
    row("BR-PE", "Pernambuco", -8.05, -34.88, 91.0),
    row("BR-PI", "Piaui", -5.09, -42.8, 33.0),
    row("BR-PR", "Parana", -25.43, -49.27, 114.0),
    row("BR-RJ", "Rio de Janeiro", -22.91, -43.17, 161.0),
    row("BR-RN", "Rio Grande do Norte", -5.79, -35.21, 33.0),
    row("BR-RO", "Rondonia", -8.76, -63.9, 16.0),
    row("BR-RR", "Roraima", 2.82, -60.67, 6.4),
    row("BR-RS", "Rio Grande do Sul", -30.03, -51.23, 109.0),
    row("BR-SC", "Santa Catarina", -26.3, -48.85, 76.0),
    row("BR-SE", "Sergipe", -10.91, -37.07, 22.0),
    row("BR-SP", "Sao Paulo", -23.55, -46.63, 444.0),
    row("BR-TO", "Tocantins", -10.18, -48.33, 15.0),
    row("CA-AB", "Alberta", 51.05, -114.07, 47.0),
    row("CA-BC", "British Columbia", 49.28, -123.12, 55.0),
    row("CA-MB", "Manitoba", 49.9, -97.14, 14.5),
    row("CA-NB", "New Brunswick", 46.09, -64.78, 8.3),
    row("CA-NL", "Newfoundland and Labrador", 47.56, -52.71, 5.4),
    row("CA-NS", "Nova Scotia", 44.65, -63.57, 10.6),
    row("CA-NT", "Northwest Territories", 62.45, -114.37, 0.4),
    row("CA-NU", "Nunavut", 63.75, -68.52, 0.4),
    row("CA-ON", "Ontario", 43.65, -79.38, 156.0),
    row("CA-PE", "Prince Edward Island", 46.24, -63.13, 1.7),
    row("CA-QC", "Quebec", 45.5, -73.57, 89.0),
    row("CA-SK", "Saskatchewan", 52.13, -106.67, 12.0),
    row("CA-YT", "Yukon", 60.72, -135.05, 0.4),
    row("CN-AH", "Anhui", 31.82, 117.23, 610.0),
    row("CN-BJ", "Beijing", 39.9, 116.41, 218.0),
    row("CN-CQ", "Chongqing", 29.56, 106.55, 319.0),
    row("CN-FJ", "Fujian", 26.08, 119.3, 418.0),
    row("CN-GD", "Guangdong", 23.13, 113.26, 1270.0),
    row("CN-GS", "Gansu", 36.06, 103.83, 246.0),
    row("CN-GX", "Guangxi", 22.82, 108.37, 502.0),
    row("CN-GZ", "Guizhou", 26.65, 106.63, 386.0),
    row("CN-HA", "Henan", 34.75, 113.63, 981.0),
    row("CN-HB", "Hubei", 30.59, 114.31, 583.0),
    row("CN-HE", "Hebei", 38.04, 114.51, 739.0),
    row("CN-HI", "Hainan", 20.04, 110.34, 104.0),
    row("CN-HK", "Hong Kong", 22.32, 114.17, 75.0),
    row("CN-HL", "Heilongjiang", 45.8, 126.53, 306.0),
    row("CN-HN", "Hunan", 28.23, 112.94, 656.0),
    row("CN-JL", "Jilin", 43.82, 125.32, 233.0),
    row("CN-JS", "Jiangsu", 32.06, 118.8, 852.0),
    row("CN-JX", "Jiangxi", 28.68, 115.86, 451.0),
    row("CN-LN", "Liaoning", 41.8, 123.43, 418.0),
    row("CN-MO", "Macao;Macau", 22.2, 113.55, 6.9),
    row("CN-NM", "Inner Mongolia;Nei Mongol", 40.84, 111.75, 239.0),
    row("CN-NX", "Ningxia", 38.49, 106.23, 72.0),
    row("CN-QH", "Qinghai", 36.62, 101.78, 59.0),
    row("CN-SC", "Sichuan", 30.57, 104.07, 836.0),
    row("CN-SD", "Shandong", 36.65, 117.12, 1012.0),
    row("CN-SH", "Shanghai", 31.23, 121.47, 248.0),
    row("CN-SN", "Shaanxi", 34.34, 108.94, 395.0),
    row("CN-SX", "Shanxi", 37.87, 112.55, 346.0),
    row("CN-TJ", "Tianjin", 39.08, 117.2, 136.0),
    row("CN-TW", "Taiwan", 25.03, 121.57, 234.0),
    row("CN-XJ", "Xinjiang", 43.83, 87.62, 259.0),
    row("CN-XZ", "Tibet;Xizang", 29.65, 91.12, 36.0),
    row("CN-YN", "Yunnan", 24.88, 102.83, 467.0),
    row("CN-ZJ", "Zhejiang", 30.27, 120.16, 662.0),
    row("IN-AN", "Andaman and Nicobar;Andaman and Nicobar Islands", 11.62, 92.73, 4.0),
    row("IN-AP", "Andhra Pradesh", 17.69, 83.22, 530.0),
    row("IN-AR", "Arunachal Pradesh", 27.08, 93.61, 15.0),
    row("IN-AS", "Assam", 26.14, 91.74, 354.0),
    row("IN-BR", "Bihar", 25.59, 85.14, 1263.0),
    row("IN-CG", "Chhattisgarh", 21.25, 81.63, 300.0),
    row("IN-CH", "Chandigarh", 30.73, 76.78, 12.0),
    row("IN-DH", "Dadra and Nagar Haveli and Daman and Diu", 20.4, 72.83, 12.0),
    row("IN-DL", "Delhi;National Capital Territory of Delhi", 28.61, 77.21, 212.0),
    row("IN-GA", "Goa", 15.4, 73.81, 16.0),
    row("IN-GJ", "Gujarat", 23.02, 72.57, 710.0),
    row("IN-HP", "Himachal Pradesh", 31.1, 77.17, 75.0),
    row("IN-HR", "Haryana", 28.41, 77.31, 302.0),
    row("IN-JH", "Jharkhand", 23.34, 85.31, 390.0),
    row("IN-JK", "Jammu and Kashmir", 34.08, 74.8, 135.0),
    row("IN-KA", "Karnataka", 12.97, 77.59, 676.0),
    row("IN-KL", "Kerala", 9.93, 76.27, 357.0),
    row("IN-LA", "Ladakh", 34.15, 77.58, 3.0),
    row("IN-LD", "Lakshadweep", 10.57, 72.64, 0.7),
    row("IN-MH", "Maharashtra", 19.08, 72.88, 1262.0),
    row("IN-ML", "Meghalaya", 25.58, 91.89, 33.0),
    row("IN-MN", "Manipur", 24.82, 93.94, 32.0),
    row("IN-MP", "Madhya Pradesh", 22.72, 75.86, 865.0),
    row("IN-MZ", "Mizoram", 23.73, 92.72, 12.0),
    row("IN-NL", "Nagaland", 25.91, 93.73, 22.0),
    row("IN-OD", "Odisha;Orissa", 20.3, 85.82, 463.0),
    row("IN-PB", "Punjab", 30.9, 75.86, 307.0),
    row("IN-PY", "Puducherry;Pondicherry", 11.94, 79.81, 16.0),
    row("IN-RJ", "Rajasthan", 26.91, 75.79, 810.0),
    row("IN-SK", "Sikkim", 27.33, 88.61, 7.0),
    row("IN-TN", "Tamil Nadu", 13.08, 80.27, 768.0),
    row("IN-TR", "Tripura", 23.83, 91.28, 41.0),
    row("IN-TS", "Telangana", 17.39, 78.49, 381.0),
    row("IN-UK", "Uttarakhand", 30.32, 78.03, 116.0),
    row("IN-UP", "Uttar Pradesh", 26.85, 80.95, 2357.0),
    row("IN-WB", "West Bengal", 22.57, 88.36, 990.0),
    row("IN-CT", "", 21.25, 81.63, 0.0),
    row("IN-DD", "", 20.4, 72.83, 0.0),
    row("IN-DN", "", 20.27, 73.02, 0.0),
    row("IN-OR", "", 20.3, 85.82, 0.0),
    row("IN-TG", "", 17.39, 78.49, 0.0),
    row("IN-UT", "", 30.32, 78.03, 0.0),
    row("RU-AD", "Adygeya;Adygea;Adygeya Republic", 44.61, 40.1, 5.0),
    row("RU-AL", "Altai;Altai Republic", 51.96, 85.96, 2.1),
    row("RU-ALT", "Altai Krai;Altay Kray", 53.35, 83.78, 21.0),
    row("RU-AMU", "Amur;Amurskaya", 50.29, 127.53, 7.6),
    row("RU-ARK", "Arkhangelsk;Arkhangelskaya", 64.54, 40.52, 9.6),
    row("RU-AST", "Astrakhan", 46.35, 48.04, 9.5),
    row("RU-BA", "Bashkortostan;Bashkortostan Republic", 54.74, 55.97, 40.8),
    row("RU-BEL", "Belgorod", 50.6, 36.59, 15.0),
    row("RU-BRY", "Bryansk", 53.24, 34.36, 11.5),
    row("RU-BU", "Buryatiya;Buryatia;Buryatiya Republic", 51.83, 107.58, 9.7),
    row("RU-CE", "Chechnya;Chechen Republic", 43.32, 45.69, 15.3),
    row("RU-CHE", "Chelyabinsk", 55.16, 61.4, 34.0),
    row("RU-CHU", "Chukotka", 64.73, 177.52, 0.5),
    row("RU-CU", "Chuvashia;Chuvash Republic", 56.13, 47.25, 11.8),
    row("RU-DA", "Dagestan", 42.98, 47.5, 32.0),
    row("RU-IN", "Ingushetia;Ingushetiya Republic", 43.23, 44.77, 5.2),
    row("RU-IRK", "Irkutsk", 52.29, 104.28, 23.4),
    row("RU-IVA", "Ivanovo", 57.0, 40.97, 9.1),
    row("RU-KAM", "Kamchatka", 53.02, 158.65, 2.9),
    row("RU-KB", "Kabardino-Balkaria;Kabardino-Balkariya Republic", 43.48, 43.61, 9.0),
    row("RU-KC", "Karachay-Cherkessia;Karachayevo-Cherkesiya Republic", 44.23, 42.05, 4.7),
    row("RU-KDA", "Krasnodar Krai;Krasnodarskiy", 45.04, 38.98, 58.0),
    row("RU-KEM", "Kemerovo;Kuzbass", 55.35, 86.09, 25.5),
    row("RU-KGD", "Kaliningrad", 54.71, 20.51, 10.3),
    row("RU-KGN", "Kurgan", 55.44, 65.34, 7.6),
    row("RU-KHA", "Khabarovsk;Khabarovsk Krai", 48.48, 135.07, 12.8),
    row("RU-KHM", "Khanty-Mansia;Khanty-Mansi", 61.25, 73.4, 17.5),
    row("RU-KIR", "Kirov", 58.6, 49.66, 11.4),
    row("RU-KK", "Khakassia;Khakasiya Republic", 53.72, 91.43, 5.3),
    row("RU-KL", "Kalmykia;Kalmykiya Republic", 46.31, 44.26, 2.7),
    row("RU-KLU", "Kaluga", 54.51, 36.26, 10.7),
    row("RU-KO", "Komi;Komi Republic", 61.67, 50.84, 7.2),
    row("RU-KOS", "Kostroma", 57.77, 40.93, 5.7),
    row("RU-KR", "Karelia;Republic of Karelia", 61.79, 34.35, 5.2),
    row("RU-KRS", "Kursk", 51.73, 36.19, 10.6),
    row("RU-KYA", "Krasnoyarsk Krai;Krasnoyarskiy", 56.01, 92.87, 28.5),
    row("RU-LEN", "Leningrad;Leningradskaya Oblast'", 59.57, 30.13, 20.2),
    row("RU-LIP", "Lipetsk", 52.61, 39.6, 11.1),
    row("RU-MAG", "Magadan", 59.56, 150.8, 1.3),
    row("RU-ME", "Mari El;Mariy-El Republic", 56.63, 47.89, 6.7),
    row("RU-MO", "Mordovia;Mordoviya Republic", 54.18, 45.17, 7.7),
    row("RU-MOS", "Moscow Oblast", 55.8, 37.93, 86.0),
    row("RU-MOW", "Moscow", 55.76, 37.62, 131.0),
    row("RU-MUR", "Murmansk", 68.97, 33.07, 6.6),
    row("RU-NEN", "Nenets", 67.64, 53.01, 0.4),
    row("RU-NGR", "Novgorod", 58.52, 31.27, 5.8),
    row("RU-NIZ", "Nizhny Novgorod", 56.33, 44.0, 31.0),
    row("RU-NVS", "Novosibirsk", 55.03, 82.92, 28.0),
    row("RU-OMS", "Omsk", 54.99, 73.37, 18.3),
    row("RU-ORE", "Orenburg", 51.77, 55.1, 18.4),
    row("RU-ORL", "Oryol;Orel", 52.97, 36.07, 7.0),
    row("RU-PER", "Perm;Perm Krai", 58.01, 56.25, 25.0),
    row("RU-PNZ", "Penza", 53.2, 45.0, 12.5),
    row("RU-PRI", "Primorye;Primorskiy (Maritime) Kray;Primorsky Krai", 43.12, 131.89, 18.2),
    row("RU-PSK", "Pskov", 57.82, 28.33, 5.9),
    row("RU-ROS", "Rostov", 47.24, 39.71, 41.6),
    row("RU-RYA", "Ryazan", 54.63, 39.74, 10.9),
    row("RU-SA", "Sakha;Yakutia", 62.03, 129.73, 10.0),
    row("RU-SAK", "Sakhalin", 46.96, 142.74, 4.6),
    row("RU-SAM", "Samara", 53.2, 50.15, 31.4),
    row("RU-SAR", "Saratov;Saratovskaya", 51.53, 46.03, 24.0),
    row("RU-SE", "North Ossetia;North Ossetia-Alania", 43.02, 44.68, 6.8),
    row("RU-SMO", "Smolensk;Smolenskaya", 54.78, 32.05, 8.7),
    row("RU-SPE", "Saint Petersburg;St.-Petersburg", 59.93, 30.34, 56.0),
    row("RU-STA", "Stavropol;Stavropol Krai;Stavropol Kray", 45.04, 41.97, 29.0),
    row("RU-SVE", "Sverdlovsk", 56.84, 60.61, 42.4),
    row("RU-TA", "Tatarstan;Tatarstan Republic", 55.79, 49.12, 40.0),
    row("RU-TAM", "Tambov", 52.72, 41.45, 9.6),
    row("RU-TOM", "Tomsk", 56.5, 84.97, 10.5),
    row("RU-TUL", "Tula", 54.19, 37.62, 14.7),
    row("RU-TVE", "Tver", 56.86, 35.91, 12.0),
    row("RU-TY", "Tuva;Tyva;Tyva Republic", 51.72, 94.44, 3.4),
    row("RU-TYU", "Tyumen", 57.15, 65.53, 16.0),
    row("RU-UD", "Udmurtia;Udmurtiya Republic", 56.85, 53.21, 14.4),
    row("RU-ULY", "Ulyanovsk", 54.32, 48.4, 11.7),
    row("RU-VGG", "Volgograd", 48.71, 44.51, 24.6),
    row("RU-VLA", "Vladimir", 56.13, 40.41, 13.0),
    row("RU-VLG", "Vologda", 59.13, 37.9, 11.2),
    row("RU-VOR", "Voronezh;Voronezj", 51.66, 39.2, 22.7),
    row("RU-YAN", "Yamalo-Nenets", 66.08, 76.68, 5.2),
    row("RU-YAR", "Yaroslavl;Jaroslavl", 57.63, 39.87, 11.9),
    row("RU-YEV", "Jewish Autonomous Oblast", 48.79, 132.92, 1.5),
    row("RU-ZAB", "Zabaykalsky Krai;Zabaykalskiy (Transbaikal) Kray;Transbaikal Territory", 52.03, 113.5, 9.9),
    row("US-AK", "Alaska", 61.22, -149.9, 7.3),
    row("US-AL", "Alabama", 33.52, -86.8, 51.0),
    row("US-AR", "Arkansas", 34.75, -92.29, 31.0),
    row("US-AZ", "Arizona", 33.45, -112.07, 75.0),
    row("US-CA", "California", 34.05, -118.24, 394.0),
    row("US-CO", "Colorado", 39.74, -104.99, 59.0),
    row("US-CT", "Connecticut", 41.18, -73.19, 37.0),
    row("US-DC", "District of Columbia;Washington, D.C.", 38.91, -77.04, 7.0),
    row("US-DE", "Delaware", 39.75, -75.55, 10.5),
    row("US-FL", "Florida", 25.76, -80.19, 234.0),
    row("US-GA", "Georgia", 33.75, -84.39, 112.0),
    row("US-HI", "Hawaii", 21.31, -157.86, 14.5),
    row("US-IA", "Iowa", 41.59, -93.62, 32.0),
    row("US-ID", "Idaho", 43.62, -116.2, 20.0),
    row("US-IL", "Illinois", 41.88, -87.63, 127.0),
    row("US-IN", "Indiana", 39.77, -86.16, 69.0),
    row("US-KS", "Kansas", 37.69, -97.34, 30.0),
    row("US-KY", "Kentucky", 38.25, -85.76, 46.0),
    row("US-LA", "Louisiana", 29.95, -90.07, 46.0),
    row("US-MA", "Massachusetts", 42.36, -71.06, 71.0),
    row("US-MD", "Maryland", 39.29, -76.61, 63.0),
    row("US-ME", "Maine", 43.66, -70.26, 14.0),
    row("US-MI", "Michigan", 42.33, -83.05, 101.0),
    row("US-MN", "Minnesota", 44.98, -93.27, 58.0),
    row("US-MO", "Missouri", 39.1, -94.58, 62.0),
    row("US-MS", "Mississippi", 32.3, -90.18, 29.0),
    row("US-MT", "Montana", 45.78, -108.5, 11.0),
    row("US-NC", "North Carolina", 35.23, -80.84, 110.0),
    row("US-ND", "North Dakota", 46.88, -96.79, 8.0),
    row("US-NE", "Nebraska", 41.26, -95.93, 20.0),
    row("US-NH", "New Hampshire", 43.0, -71.45, 14.0),
    row("US-NJ", "New Jersey", 40.74, -74.17, 95.0),
    row("US-NM", "New Mexico", 35.08, -106.65, 21.0),
    row("US-NV", "Nevada", 36.17, -115.14, 33.0),
    row("US-NY", "New York", 40.71, -74.01, 199.0),
    row("US-OH", "Ohio", 39.96, -83.0, 119.0),
    row("US-OK", "Oklahoma", 35.47, -97.52, 41.0),
    row("US-OR", "Oregon", 45.52, -122.68, 43.0),
    row("US-PA", "Pennsylvania", 39.95, -75.17, 131.0),
    row("US-RI", "Rhode Island", 41.82, -71.41, 11.0),
    row("US-SC", "South Carolina", 32.78, -79.93, 55.0),
    row("US-SD", "South Dakota", 43.55, -96.73, 9.0),
    row("US-TN", "Tennessee", 36.16, -86.78, 72.0),
    row("US-TX", "Texas", 29.76, -95.37, 313.0),
    row("US-UT", "Utah", 40.76, -111.89, 35.0),
    row("US-VA", "Virginia", 36.85, -75.98, 88.0),
    row("US-VT", "Vermont", 44.48, -73.21, 6.5),
    row("US-WA", "Washington", 47.61, -122.33, 80.0),
    row("US-WI", "Wisconsin", 43.04, -87.91, 60.0),
    row("US-WV", "West Virginia", 38.35, -81.63, 18.0),
    row("US-WY", "Wyoming", 41.14, -104.82, 6.0),
    row("US-AS", "", -14.28, -170.7, 0.0),
    row("US-GU", "", 13.47, 144.75, 0.0),
    row("US-MP", "", 15.19, 145.75, 0.0),
    row("US-PR", "", 18.47, -66.11, 0.0),
    row("US-VI", "", 18.34, -64.93, 0.0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn country(code: &str) -> Country {
        Country::parse(code).unwrap()
    }

    #[test]
    fn every_row_has_a_code_of_its_own_and_a_point_on_the_globe() {
        let codes: HashSet<_> = TABLE.iter().map(|row| Subdivision::parse(row.code).unwrap()).collect();
        assert_eq!(codes.len(), TABLE.len());
        assert!(TABLE.iter().all(|row| COUNTRIES.contains(&&row.code[..2])));
        assert!(TABLE.iter().all(|row| Point::new(row.lat, row.lon).is_some()));
    }

    #[test]
    fn no_two_subdivisions_of_a_country_share_a_name() {
        let mut seen = HashSet::new();
        for row in TABLE {
            let names: HashSet<String> =
                row.names.split(';').map(|name| folded(name, &[])).filter(|name| !name.is_empty()).collect();
            for name in names {
                assert!(seen.insert((&row.code[..2], name.clone())), "{}: {name}", row.code);
            }
        }
    }

    #[test]
    fn names_are_found_whatever_their_accents_case_and_generic_words() {
        let names = Names::new();
        for (code, name, expected) in [
            ("US", "California", "US-CA"),
            ("CA", "Québec", "CA-QC"),
            ("BR", "são paulo", "BR-SP"),
            ("RU", "Tver’ Oblast", "RU-TVE"),
            ("RU", "Moscow Oblast", "RU-MOS"),
            ("IN", "Telangana", "IN-TS"),
        ] {
            assert_eq!(names.find(country(code), name), Subdivision::parse(expected), "{name}");
        }
        assert_eq!(names.find(country("US"), ""), None);
        assert_eq!(names.find(country("FR"), "California"), None);
    }

    #[test]
    fn the_centre_of_a_country_is_where_its_people_are() {
        let ufa = Point::new(54.7, 56.0).unwrap();
        let kansas_city = Point::new(39.1, -94.6).unwrap();
        assert!(centre(country("RU")).unwrap().distance_km(ufa) < 500.0);
        assert!(centre(country("US")).unwrap().distance_km(kansas_city) < 500.0);
        assert_eq!(centre(country("FR")), None);
    }
}
