//! The words that hawker itself puts on the picture, by language. What sellers write is theirs.

use super::locale::number;
use crate::overlay::{Language, Locale};

/// One language's words. Short: they stand in badges and over digits.
#[derive(Debug)]
pub struct Words {
    pub sold_out: &'static str,
    /// Over a price that holds for a while.
    pub flash_price: &'static str,
    /// Over what comes next.
    pub next_up: &'static str,
    pub starting_soon: &'static str,
    pub back_in_a_moment: &'static str,
    /// Across a picture that nobody else sees.
    pub rehearsal: &'static str,
    /// Before the time until the price falls again.
    pub next_drop_in: &'static str,
    left: Counted,
    sold: Counted,
}

/// A text with a number where its `#` is: for one, and for any other number.
type Counted = (&'static str, &'static str);

/// A language's words.
pub fn of(locale: Locale) -> &'static Words {
    match locale.language() {
        Language::English => &ENGLISH,
        Language::Vietnamese => &VIETNAMESE,
        Language::SimplifiedChinese => &SIMPLIFIED_CHINESE,
        Language::TraditionalChinese => &TRADITIONAL_CHINESE,
        Language::Japanese => &JAPANESE,
        Language::Korean => &KOREAN,
        Language::Thai => &THAI,
        Language::Arabic => &ARABIC,
        Language::Hebrew => &HEBREW,
        Language::Spanish => &SPANISH,
        Language::Portuguese => &PORTUGUESE,
        Language::French => &FRENCH,
        Language::German => &GERMAN,
        Language::Indonesian => &INDONESIAN,
    }
}

/// How many there are still: "12 left".
pub fn left(locale: Locale, count: u64) -> String {
    counted(locale, of(locale).left, count)
}

/// How many are gone: "1,203 sold".
pub fn sold(locale: Locale, count: u64) -> String {
    counted(locale, of(locale).sold, count)
}

fn counted(locale: Locale, (one, many): Counted, count: u64) -> String {
    let text = if count == 1 { one } else { many };
    text.replace('#', &number(locale, count))
}

const ENGLISH: Words = Words {
    sold_out: "SOLD OUT",
    flash_price: "FLASH PRICE",
    next_up: "Next up",
    starting_soon: "Starting soon",
    back_in_a_moment: "Back in a moment",
    rehearsal: "REHEARSAL",
    next_drop_in: "Next drop in",
    left: ("# left", "# left"),
    sold: ("# sold", "# sold"),
};

const VIETNAMESE: Words = Words {
    sold_out: "HẾT HÀNG",
    flash_price: "GIÁ SỐC",
    next_up: "Tiếp theo",
    starting_soon: "Sắp bắt đầu",
    back_in_a_moment: "Quay lại ngay",
    rehearsal: "CHẠY THỬ",
    next_drop_in: "Giảm tiếp sau",
    left: ("Còn #", "Còn #"),
    sold: ("Đã bán #", "Đã bán #"),
};

const SIMPLIFIED_CHINESE: Words = Words {
    sold_out: "已售罄",
    flash_price: "限时特价",
    next_up: "接下来",
    starting_soon: "即将开始",
    back_in_a_moment: "马上回来",
    rehearsal: "彩排",
    next_drop_in: "下次降价",
    left: ("仅剩 # 件", "仅剩 # 件"),
    sold: ("已售 #", "已售 #"),
};

const TRADITIONAL_CHINESE: Words = Words {
    sold_out: "已售完",
    flash_price: "限時特價",
    next_up: "接下來",
    starting_soon: "即將開始",
    back_in_a_moment: "馬上回來",
    rehearsal: "彩排",
    next_drop_in: "下次降價",
    left: ("僅剩 # 件", "僅剩 # 件"),
    sold: ("已售 #", "已售 #"),
};

const JAPANESE: Words = Words {
    sold_out: "売り切れ",
    flash_price: "タイムセール",
    next_up: "次の商品",
    starting_soon: "まもなく開始",
    back_in_a_moment: "まもなく再開します",
    rehearsal: "リハーサル",
    next_drop_in: "次の値下げまで",
    left: ("残り#点", "残り#点"),
    sold: ("販売数 #", "販売数 #"),
};

const KOREAN: Words = Words {
    sold_out: "품절",
    flash_price: "타임특가",
    next_up: "다음 상품",
    starting_soon: "곧 시작합니다",
    back_in_a_moment: "잠시 후 다시 시작합니다",
    rehearsal: "리허설",
    next_drop_in: "다음 할인까지",
    left: ("#개 남음", "#개 남음"),
    sold: ("#개 판매", "#개 판매"),
};

const THAI: Words = Words {
    sold_out: "สินค้าหมด",
    flash_price: "ราคาพิเศษ",
    next_up: "ถัดไป",
    starting_soon: "เริ่มเร็ว ๆ นี้",
    back_in_a_moment: "เดี๋ยวกลับมา",
    rehearsal: "ซ้อม",
    next_drop_in: "ลดอีกใน",
    left: ("เหลือ # ชิ้น", "เหลือ # ชิ้น"),
    sold: ("ขายแล้ว #", "ขายแล้ว #"),
};

const ARABIC: Words = Words {
    sold_out: "نفدت الكمية",
    flash_price: "سعر خاطف",
    next_up: "التالي",
    starting_soon: "نبدأ قريبًا",
    back_in_a_moment: "سنعود بعد لحظات",
    rehearsal: "بروفة",
    next_drop_in: "التخفيض التالي خلال",
    left: ("متبقي #", "متبقي #"),
    sold: ("تم بيع #", "تم بيع #"),
};

const HEBREW: Words = Words {
    sold_out: "אזל המלאי",
    flash_price: "מחיר בזק",
    next_up: "הבא בתור",
    starting_soon: "מתחילים בקרוב",
    back_in_a_moment: "תכף חוזרים",
    rehearsal: "חזרה",
    next_drop_in: "ההנחה הבאה בעוד",
    left: ("נותר #", "נותרו #"),
    sold: ("נמכר #", "נמכרו #"),
};

const SPANISH: Words = Words {
    sold_out: "AGOTADO",
    flash_price: "PRECIO FLASH",
    next_up: "A continuación",
    starting_soon: "Empezamos pronto",
    back_in_a_moment: "Volvemos enseguida",
    rehearsal: "ENSAYO",
    next_drop_in: "Próxima bajada en",
    left: ("Queda #", "Quedan #"),
    sold: ("# vendido", "# vendidos"),
};

const PORTUGUESE: Words = Words {
    sold_out: "ESGOTADO",
    flash_price: "PREÇO RELÂMPAGO",
    next_up: "A seguir",
    starting_soon: "Começa em breve",
    back_in_a_moment: "Voltamos já",
    rehearsal: "ENSAIO",
    next_drop_in: "Próxima queda em",
    left: ("Resta #", "Restam #"),
    sold: ("# vendido", "# vendidos"),
};

const FRENCH: Words = Words {
    sold_out: "ÉPUISÉ",
    flash_price: "PRIX FLASH",
    next_up: "À suivre",
    starting_soon: "Bientôt en direct",
    back_in_a_moment: "De retour dans un instant",
    rehearsal: "RÉPÉTITION",
    next_drop_in: "Prochaine baisse dans",
    left: ("Plus que #", "Plus que #"),
    sold: ("# vendu", "# vendus"),
};

const GERMAN: Words = Words {
    sold_out: "AUSVERKAUFT",
    flash_price: "BLITZPREIS",
    next_up: "Als Nächstes",
    starting_soon: "Gleich geht es los",
    back_in_a_moment: "Gleich geht es weiter",
    rehearsal: "PROBE",
    next_drop_in: "Nächster Preis in",
    left: ("Noch #", "Noch #"),
    sold: ("# verkauft", "# verkauft"),
};

const INDONESIAN: Words = Words {
    sold_out: "STOK HABIS",
    flash_price: "HARGA KILAT",
    next_up: "Berikutnya",
    starting_soon: "Segera dimulai",
    back_in_a_moment: "Segera kembali",
    rehearsal: "LATIHAN",
    next_drop_in: "Turun lagi dalam",
    left: ("Sisa #", "Sisa #"),
    sold: ("# terjual", "# terjual"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::{Painter, PainterConfig};

    fn everything(words: &Words) -> Vec<&'static str> {
        let Words { sold_out, flash_price, next_up, starting_soon, back_in_a_moment, .. } = *words;
        let Words { rehearsal, next_drop_in, left, sold, .. } = *words;
        let plain = [sold_out, flash_price, next_up, starting_soon, back_in_a_moment, rehearsal, next_drop_in];
        plain.into_iter().chain([left.0, left.1, sold.0, sold.1]).collect()
    }

    fn locale(tag: &str) -> Locale {
        Locale::parse(tag).unwrap()
    }

    #[test]
    fn every_language_has_every_word_and_can_write_it() {
        let painter = Painter::new(PainterConfig::default()).unwrap();
        let english = everything(&ENGLISH);
        for language in Language::ALL {
            let words = everything(of(locale(language.tag())));
            assert!(words.iter().all(|word| !word.trim().is_empty() && word.chars().count() <= 26), "{words:?}");
            assert!(words[8..].iter().all(|counted| counted.matches('#').count() == 1), "{words:?}");
            // What is the same word was forgotten.
            let same = words.iter().zip(&english).filter(|(word, english)| word == english).count();
            assert!(language == Language::English || same == 0, "{language:?}: {words:?}");
            for gap in painter.missing_in(&words.concat()) {
                // Only what a package that is not installed here has; every other language needs none.
                assert_eq!(gap.install, Some("fonts-noto-cjk"), "{language:?}: {gap:?}");
                assert!(std::env::var_os("CI").is_none(), "install fonts-noto-cjk");
            }
        }
    }

    #[test]
    fn counts_are_written_as_the_language_does() {
        assert_eq!(left(locale("en"), 12), "12 left");
        assert_eq!(sold(locale("en"), 1203), "1,203 sold");
        assert_eq!(sold(locale("de"), 12_034), "12.034 verkauft");
        assert_eq!((left(locale("es"), 1), left(locale("es"), 3)), ("Queda 1".into(), "Quedan 3".into()));
        assert_eq!(left(locale("ja"), 3), "残り3点");
        assert_eq!(left(locale("ar"), u64::MAX), "متبقي 18,446,744,073,709,551,615");
    }
}
